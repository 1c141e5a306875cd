#include "cli/batch_journal.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/batch_folder_testing.h"
#include "cli/fnv.h"

namespace headrace::cli {
namespace {

class Journal : public BatchFolder {};

TEST_F(Journal, TheInputKnowsItsLinesAndLeavesOutEmptyOnes) {
  write("in", "  \n{\"a\":1}\r\n\n\t\nlast");
  const BatchInput in = input();
  ASSERT_EQ(in.lines().size(), 2U);
  EXPECT_EQ(in.lines()[0].number, 2U);
  EXPECT_EQ(in.lines()[1].number, 5U);
  EXPECT_EQ(in.read(in.lines()[0], 100).value(), "{\"a\":1}\r");
  EXPECT_EQ(in.read(in.lines()[1], 100).value(), "last");
  EXPECT_EQ(in.lines()[1].hash, fnv1a("last"));
  EXPECT_EQ(in.read(in.lines()[1], 2).value().size(), 3U);
}

TEST_F(Journal, LinesLongerThanABlockAreWhole) {
  const std::string longer(3'000'000, 'x');
  write("in", longer + "\ny\n");
  const BatchInput in = input();
  ASSERT_EQ(in.lines().size(), 2U);
  EXPECT_EQ(in.read(in.lines()[0], 4'000'000).value(), longer);
  EXPECT_EQ(in.read(in.lines()[1], 10).value(), "y");
}

TEST_F(Journal, AnInputWithoutLinesAndAChangedOneAreErrors) {
  const BatchInput in = input();
  write("in", "\n \n");
  EXPECT_EQ(BatchInput::open(path("in")).error().code, Errc::usage);
  EXPECT_EQ(BatchInput::open(path("nowhere")).error().code, Errc::not_found);
  EXPECT_EQ(BatchInput::open(folder_).error().code, Errc::io);
  EXPECT_EQ(in.read(in.lines()[2], 100).error().code, Errc::io);
}

TEST_F(Journal, FinishedLinesAreThereWhenItIsOpenedAgain) {
  const BatchInput in = input();
  {
    BatchJournal journal = std::move(open(in)).value();
    EXPECT_FALSE(journal.settings());
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
    ASSERT_TRUE(static_cast<bool>(journal.append(2, BatchKind::answer, R"({"x":3})")));
    ASSERT_TRUE(static_cast<bool>(journal.append(0, BatchKind::error, R"({"x":1})")));
  }
  const BatchJournal journal = std::move(open(in)).value();
  EXPECT_EQ(*journal.settings(), batch_settings());
  EXPECT_EQ(journal.finished(), 2U);
  EXPECT_EQ(journal.errors(), 1U);
  EXPECT_FALSE(journal.has(1));
  EXPECT_EQ(journal.kind(0), BatchKind::error);
  EXPECT_EQ(journal.output(0).value(), R"({"x":1})");
  EXPECT_EQ(journal.output(2).value(), R"({"x":3})");
  EXPECT_FALSE(journal.completed());
}

TEST_F(Journal, WhereverItIsTornTheWholeEntriesCountAndItGoesOn) {
  const BatchInput in = input();
  {
    BatchJournal journal = std::move(open(in)).value();
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
    for (const size_t i : {1U, 0U, 2U})
      ASSERT_TRUE(static_cast<bool>(journal.append(i, BatchKind::answer, fmt::format("{{\"x\":{}}}", i))));
  }
  const std::string whole = read("part");
  for (size_t size = 0; size <= whole.size(); ++size) {
    SCOPED_TRACE(size);
    write("part", whole.substr(0, size));
    {
      BatchJournal journal = std::move(open(in)).value();
      const auto lines = static_cast<size_t>(std::ranges::count(whole.substr(0, size), '\n'));
      EXPECT_EQ(journal.finished(), lines == 0 ? 0 : lines - 1);
      EXPECT_EQ(journal.damaged(), 0U);
      ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
      for (const size_t i : {1U, 0U, 2U}) {
        if (journal.has(i)) continue;
        ASSERT_TRUE(static_cast<bool>(journal.append(i, BatchKind::answer, fmt::format("{{\"x\":{}}}", i))));
      }
    }
    EXPECT_EQ(read("part"), whole);
  }
}

TEST_F(Journal, ADamagedEntryIsAsGoodAsMissing) {
  const BatchInput in = input();
  {
    BatchJournal journal = std::move(open(in)).value();
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
    for (const size_t i : {0U, 1U})
      ASSERT_TRUE(static_cast<bool>(journal.append(i, BatchKind::answer, R"({"text":"abc"})")));
  }
  std::string bytes = read("part");
  bytes[bytes.find("abc")] = 'z';
  write("part", bytes);
  const BatchJournal journal = std::move(open(in)).value();
  EXPECT_EQ(journal.damaged(), 1U);
  EXPECT_FALSE(journal.has(0));
  EXPECT_TRUE(journal.has(1));
}

TEST_F(Journal, AChangedInputIsRefused) {
  {
    const BatchInput in = input();
    BatchJournal journal = std::move(open(in)).value();
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
    ASSERT_TRUE(static_cast<bool>(journal.append(1, BatchKind::answer, "{}")));
  }
  for (const char* changed : {"one\n\nTWO\nthree\n", "one\n", "one\ntwo\nthree\n"}) {
    write("in", changed);
    const BatchInput in = input();
    const Result<BatchJournal> journal = open(in);
    ASSERT_FALSE(static_cast<bool>(journal)) << changed;
    EXPECT_EQ(journal.error().code, Errc::usage);
    EXPECT_NE(journal.error().message.find("input has changed"), std::string::npos)
        << journal.error().message;
  }
  // What was not finished may change.
  write("in", "ONE\n\ntwo\nthree\nfour\n");
  const BatchInput in = input();
  EXPECT_EQ(open(in).value().finished(), 1U);
}

TEST_F(Journal, OtherSettingsAreRefusedByName) {
  const BatchInput in = input();
  {
    BatchJournal journal = std::move(open(in)).value();
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings(64))));
  }
  BatchJournal journal = std::move(open(in)).value();
  const Status other = journal.begin(batch_settings(32));
  ASSERT_FALSE(static_cast<bool>(other));
  EXPECT_NE(other.error().message.find("ctx_size 64, now it is 32"), std::string::npos)
      << other.error().message;
  EXPECT_TRUE(static_cast<bool>(journal.begin(batch_settings(64))));
}

TEST_F(Journal, AnotherFileInItsPlaceIsLeftAlone) {
  const BatchInput in = input();
  for (const char* other : {"my notes", "my notes\n", "{\"headrace\":1}\n", "\n"}) {
    write("part", other);
    const Result<BatchJournal> journal = open(in);
    ASSERT_FALSE(static_cast<bool>(journal)) << other;
    EXPECT_EQ(journal.error().code, Errc::usage);
    EXPECT_EQ(read("part"), other);
  }
}

TEST_F(Journal, BelongsToOneRunAndLeavesNothingIfNothingWasWritten) {
  const BatchInput in = input();
  {
    const BatchJournal journal = std::move(open(in)).value();
    const Result<BatchJournal> second = open(in);
    ASSERT_FALSE(static_cast<bool>(second));
    EXPECT_EQ(second.error().code, Errc::usage);
    EXPECT_NE(second.error().message.find("another run"), std::string::npos);
    EXPECT_TRUE(fs::exists(path("part")));
  }
  EXPECT_FALSE(fs::exists(path("part")));
}

TEST_F(Journal, AFullDiskLosesNothingThatIsFinished) {
  const BatchInput in = input();
  const std::string output = "{\"x\":\"" + std::string(400, 'x') + "\"}";
  {
    BatchJournal journal = std::move(open(in)).value();
    ASSERT_TRUE(static_cast<bool>(journal.begin(batch_settings())));
    ASSERT_TRUE(static_cast<bool>(journal.append(1, BatchKind::answer, output)));
    const std::string before = read("part");
    Status full;
    {
      const FileLimit limit(800);
      full = journal.append(0, BatchKind::answer, output);
    }
    ASSERT_FALSE(static_cast<bool>(full));
    EXPECT_EQ(full.error().code, Errc::io);
    EXPECT_NE(full.error().message.find("part: write: "), std::string::npos) << full.error().message;
    EXPECT_NE(full.error().message.find("1 lines finished so far are kept"), std::string::npos);
    EXPECT_EQ(read("part"), before);
  }
  BatchJournal journal = std::move(open(in)).value();
  EXPECT_EQ(journal.finished(), 1U);
  EXPECT_EQ(journal.output(1).value(), output);
}

}  // namespace
}  // namespace headrace::cli
