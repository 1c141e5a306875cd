#include "cli/batch_output.h"

#include <gtest/gtest.h>

#include "cli/batch_folder_testing.h"

namespace headrace::cli {
namespace {

class Outputs : public BatchFolder {
 protected:
  BatchPaths paths() const {
    return {.input = path("in"), .output = path("out.jsonl"), .errors = path("bad"), .journal = path("part")};
  }
  BatchJournal finished(const BatchInput& in, bool with_error) const {
    BatchJournal journal = std::move(open(in)).value();
    HEADRACE_CHECK(static_cast<bool>(journal.begin(batch_settings())));
    HEADRACE_CHECK(static_cast<bool>(journal.append(2, BatchKind::answer, "{\"c\":3}")));
    HEADRACE_CHECK(static_cast<bool>(journal.append(0, BatchKind::answer, "{\"a\":1}")));
    HEADRACE_CHECK(
        static_cast<bool>(journal.append(1, with_error ? BatchKind::error : BatchKind::answer, "{\"b\":2}")));
    return journal;
  }
};

TEST_F(Outputs, StandInTheOrderOfTheInputAndTheJournalIsGone) {
  const BatchInput in = input();
  BatchJournal journal = finished(in, true);
  ASSERT_TRUE(static_cast<bool>(publish_outputs(paths(), journal, 3)));
  EXPECT_EQ(read("out.jsonl"), "{\"a\":1}\n{\"c\":3}\n");
  EXPECT_EQ(read("bad"), "{\"b\":2}\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 3);
}

TEST_F(Outputs, WithoutErrorsThereIsNoFileForThem) {
  write("bad", "of an earlier run");
  const BatchInput in = input();
  BatchJournal journal = finished(in, false);
  ASSERT_TRUE(static_cast<bool>(publish_outputs(paths(), journal, 3)));
  EXPECT_EQ(read("out.jsonl"), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
  EXPECT_FALSE(fs::exists(path("bad")));
}

TEST_F(Outputs, AreNotReplacedUnlessThatWasAskedForOrTheRunWasComplete) {
  const BatchInput in = input();
  EXPECT_TRUE(static_cast<bool>(check_outputs(paths(), nullptr, false)));
  write("out.jsonl", "old");
  const Status alone = check_outputs(paths(), nullptr, false);
  ASSERT_FALSE(static_cast<bool>(alone));
  EXPECT_NE(alone.error().message.find("--overwrite"), std::string::npos);
  EXPECT_TRUE(static_cast<bool>(check_outputs(paths(), nullptr, true)));

  BatchJournal journal = finished(in, false);
  const Status both = check_outputs(paths(), &journal, false);
  ASSERT_FALSE(static_cast<bool>(both));
  EXPECT_NE(both.error().message.find("with 3 finished lines"), std::string::npos) << both.error().message;
  // A run that was killed between renaming the output and removing the journal.
  ASSERT_TRUE(static_cast<bool>(journal.complete()));
  EXPECT_TRUE(static_cast<bool>(check_outputs(paths(), &journal, false)));
}

TEST_F(Outputs, AFullDiskLeavesTheOldOutputAndTheJournal) {
  write("out.jsonl", "old");
  const BatchInput in = input();
  {
    BatchJournal journal = finished(in, true);
    ASSERT_TRUE(static_cast<bool>(journal.complete()));
    const FileLimit limit(4);
    const Status full = publish_outputs(paths(), journal, 3);
    ASSERT_FALSE(static_cast<bool>(full));
    EXPECT_EQ(full.error().code, Errc::io);
    EXPECT_NE(full.error().message.find("all 3 lines are finished and kept"), std::string::npos);
  }
  EXPECT_EQ(read("out.jsonl"), "old");
  EXPECT_FALSE(fs::exists(path("out.jsonl.new")));
  BatchJournal journal = std::move(open(in)).value();
  EXPECT_TRUE(journal.completed());
  ASSERT_TRUE(static_cast<bool>(publish_outputs(paths(), journal, 3)));
  EXPECT_EQ(read("out.jsonl"), "{\"a\":1}\n{\"c\":3}\n");
}

TEST_F(Outputs, HaveNamesOfTheirOwn) {
  const std::string in = path("in").string();
  const std::string out = path("out.jsonl").string();
  EXPECT_EQ(batch_paths(in, out, std::nullopt).value().errors, path("out.errors.jsonl"));
  EXPECT_EQ(batch_paths(in, path("out").string(), std::nullopt).value().errors, path("out.errors.jsonl"));
  EXPECT_EQ(batch_paths(in, out, std::nullopt).value().journal, path("out.jsonl.part"));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, in, std::nullopt)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, out, out)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, out, in)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, out, out + ".part")));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, (folder_ / "." / "in").string(), std::nullopt)));
  EXPECT_FALSE(static_cast<bool>(batch_paths("-", out, std::nullopt)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, "-", std::nullopt)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, folder_.string(), std::nullopt)));
  EXPECT_FALSE(static_cast<bool>(batch_paths(in, "/dev/null", std::nullopt)));
  EXPECT_EQ(batch_paths(in, path("no/out").string(), std::nullopt).error().code, Errc::not_found);
}

}  // namespace
}  // namespace headrace::cli
