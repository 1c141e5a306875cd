#include "schedule/exspec.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

struct Pool {
  std::vector<RunningView> running;

  // A sequence that lacks one token, or its whole prompt.
  void add(uint32_t known, bool reads_prompt = false, uint32_t drafted = 0) {
    const uint64_t id = running.size() + 1;
    running.push_back({.place = {static_cast<int64_t>(id), id},
                       .known = known,
                       .computed = reads_prompt ? 0 : known - 1,
                       .drafted = drafted});
  }
  StepPlan plan(uint32_t batch) const {
    return ExspecPool(batch).plan({.running = running,
                                   .waiting = {},
                                   .available = {100},
                                   .largest = {100},
                                   .page_tokens = 16,
                                   .max_rows = 256,
                                   .max_sequences = 16});
  }
  std::vector<uint32_t> chosen(uint32_t batch) const {
    std::vector<uint32_t> out;
    for (const StepChunk& chunk : plan(batch).running) out.push_back(chunk.index);
    return out;
  }
};
using Chosen = std::vector<uint32_t>;

TEST(ExspecPool, ThoseOfEqualLengthGoTogether) {
  Pool pool;
  for (const uint32_t known : {20U, 31U, 25U, 31U, 25U, 31U}) pool.add(known);
  EXPECT_EQ(pool.chosen(3), (Chosen{1, 3, 5}));
  EXPECT_EQ(pool.chosen(2), (Chosen{1, 3}));  // the first length that is complete
}

TEST(ExspecPool, WithoutEnoughOfOneLengthTheFirstInLineGo) {
  Pool pool;
  for (const uint32_t known : {20U, 31U, 25U, 31U, 26U}) pool.add(known);
  EXPECT_EQ(pool.chosen(3), (Chosen{0, 1, 2}));
  EXPECT_EQ(pool.chosen(8), (Chosen{0, 1, 2, 3, 4}));
}

TEST(ExspecPool, PromptsAreReadMeanwhile) {
  Pool pool;
  pool.add(20);
  pool.add(40, true);
  pool.add(31);
  pool.add(31);
  EXPECT_EQ(pool.chosen(2), (Chosen{1, 2, 3}));
}

TEST(ExspecPool, DraftsComeAlong) {
  Pool pool;
  pool.add(20, false, 4);
  pool.add(21, false, 4);
  const StepPlan plan = pool.plan(1);
  ASSERT_EQ(plan.running.size(), 1U);
  EXPECT_EQ(plan.running[0].count, 5U);
}

}  // namespace
}  // namespace headrace
