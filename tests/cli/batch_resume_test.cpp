// headrace batch when it is stopped, killed, or finds something in its way.
#include <gtest/gtest.h>

#include <algorithm>

#include "batch_lines.h"

namespace headrace::testing {
namespace {

constexpr size_t kLines = 40;

// What an uninterrupted run writes.
const std::string& expected_output() {
  static const std::string expected = [] {
    const Batch batch("uninterrupted", mixed_lines(kLines));
    EXPECT_EQ(batch.run().exit_code, 0);
    return batch.output();
  }();
  return expected;
}

// Sends `signal` once so many lines are finished.
Surroundings stopped_after(const Batch& batch, size_t lines, int signal) {
  return {.interrupt_when = [&batch, lines](const std::string&,
                                            const std::string&) { return batch.journal_lines() > lines; },
          .signal = signal};
}

TEST(BatchResume, AfterCtrlCTheSameCommandContinues) {
  const Batch batch("ctrl-c", mixed_lines(kLines));
  const Outcome stopped = batch.run({"-np", "2"}, stopped_after(batch, 5, SIGINT));
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_TRUE(contains(stopped.err, "of 40 lines are finished, and the same command continues"))
      << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(batch.output_path()));
  const size_t finished = batch.journal_lines() - 1;
  EXPECT_GE(finished, 5U);
  const Outcome outcome = batch.run({"-np", "2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, std::to_string(finished) + " of 40 lines are finished")) << outcome.err;
  EXPECT_EQ(batch.output(), expected_output());
  EXPECT_FALSE(std::filesystem::exists(batch.journal_path()));
}

TEST(BatchResume, KilledAtThreeMomentsItGivesTheSameBytes) {
  const Batch batch("killed", mixed_lines(kLines));
  for (const size_t lines : {1U, 9U, 20U}) {
    const size_t before = batch.journal_lines();
    const Outcome killed = batch.run({"-np", "3"}, stopped_after(batch, lines, SIGKILL));
    EXPECT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
    EXPECT_GT(batch.journal_lines(), before);
    EXPECT_FALSE(std::filesystem::exists(batch.output_path()));
  }
  const Outcome outcome = batch.run();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(batch.output(), expected_output());
}

TEST(BatchResume, ATornEntryIsAnsweredAgain) {
  const Batch batch("torn", mixed_lines(kLines));
  ASSERT_EQ(batch.run({"-np", "2"}, stopped_after(batch, 5, SIGKILL)).exit_code, 128 + SIGKILL);
  std::filesystem::resize_file(batch.journal_path(), std::filesystem::file_size(batch.journal_path()) - 3);
  EXPECT_EQ(batch.run().exit_code, 0);
  EXPECT_EQ(batch.output(), expected_output());
}

TEST(BatchResume, AFullDiskKeepsWhatIsFinished) {
  const Batch batch("full", mixed_lines(kLines));
  const Outcome full = batch.run({"-np", "2"}, {.file_bytes = 6000});
  EXPECT_EQ(full.exit_code, 1) << full.err;
  EXPECT_TRUE(contains(full.err, batch.journal_path() + ": write: ")) << full.err;
  EXPECT_TRUE(contains(full.err, "are kept, and the same command continues")) << full.err;
  EXPECT_GT(batch.journal_lines(), 1U);
  EXPECT_FALSE(std::filesystem::exists(batch.output_path()));
  EXPECT_EQ(batch.run().exit_code, 0);
  EXPECT_EQ(batch.output(), expected_output());
}

TEST(BatchResume, AnOutputThatExistsIsKeptUnlessToldOtherwise) {
  const Batch batch("exists", mixed_lines(kLines));
  file_with("exists.out.jsonl", "precious");
  const Outcome refused = batch.run();
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(contains(refused.err, "exists already; --overwrite")) << refused.err;
  EXPECT_EQ(batch.output(), "precious");
  EXPECT_FALSE(std::filesystem::exists(batch.journal_path()));
  // Until the new answers are complete the old ones stay.
  const Outcome stopped = batch.run({"--overwrite", "-np", "2"}, stopped_after(batch, 3, SIGKILL));
  EXPECT_EQ(stopped.exit_code, 128 + SIGKILL) << stopped.err;
  EXPECT_EQ(batch.output(), "precious");
  const Outcome both = batch.run();
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_TRUE(contains(both.err, batch.journal_path())) << both.err;
  EXPECT_TRUE(contains(both.err, "finished lines")) << both.err;
  EXPECT_EQ(batch.run({"--overwrite"}).exit_code, 0);
  EXPECT_EQ(batch.output(), expected_output());
}

TEST(BatchResume, AChangedInputAndOtherSettingsAreRefusedByName) {
  const Batch batch("changed", mixed_lines(kLines));
  ASSERT_EQ(batch.run({"-np", "2"}, stopped_after(batch, 3, SIGKILL)).exit_code, 128 + SIGKILL);
  const Outcome other_model = batch.run_with(gemma3_file());
  EXPECT_EQ(other_model.exit_code, 2);
  EXPECT_TRUE(contains(other_model.err, "model")) << other_model.err;
  const Outcome other_type = batch.run({"-ctk", "f32"});
  EXPECT_EQ(other_type.exit_code, 2);
  EXPECT_TRUE(contains(other_type.err, "cache_type_k")) << other_type.err;
  std::vector<std::string> lines = mixed_lines(kLines);
  std::reverse(lines.begin(), lines.end());
  batch.write(lines);
  const Outcome changed = batch.run();
  EXPECT_EQ(changed.exit_code, 2);
  EXPECT_TRUE(contains(changed.err, "the input has changed")) << changed.err;
  batch.write(mixed_lines(kLines));
  EXPECT_EQ(batch.run().exit_code, 0);
  EXPECT_EQ(batch.output(), expected_output());
}

TEST(BatchResume, LinesAfterFinishedOnesStillSeeTheirIds) {
  std::vector<std::string> lines = mixed_lines(kLines);
  lines.push_back(lines.front());
  const Batch batch("ids", lines);
  ASSERT_EQ(batch.run({"-np", "2"}, stopped_after(batch, 8, SIGKILL)).exit_code, 128 + SIGKILL);
  EXPECT_EQ(batch.run().exit_code, 0);
  EXPECT_EQ(batch.output(), expected_output());
  ASSERT_EQ(batch.errors().size(), 1U);
  EXPECT_EQ(batch.errors()[0]["error"]["code"], "duplicate_custom_id");
  EXPECT_EQ(batch.errors()[0]["line"], kLines + 1);
}

}  // namespace
}  // namespace headrace::testing
