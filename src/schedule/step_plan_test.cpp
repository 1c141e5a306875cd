#include "schedule/step_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace headrace {

bool operator==(const StepChunk& a, const StepChunk& b) {
  return a.index == b.index && a.count == b.count;
}

namespace {

using Chunks = std::vector<StepChunk>;

TEST(StepPlan, APromptIsCutIntoStepsOfTheRowBudget) {
  EXPECT_EQ(plan_step(std::vector<SequenceView>{{1000, 0}}, 512), (Chunks{{0, 512}}));
  EXPECT_EQ(plan_step(std::vector<SequenceView>{{1000, 512}}, 512), (Chunks{{0, 488}}));
}

TEST(StepPlan, DecodeRowsComeBeforePrompts) {
  EXPECT_EQ(plan_step(std::vector<SequenceView>{{1000, 0}, {11, 10}, {6, 5}}, 8),
            (Chunks{{0, 6}, {1, 1}, {2, 1}}));
}

TEST(StepPlan, SequencesWithNothingToComputeHaveNoChunk) {
  EXPECT_TRUE(plan_step(std::vector<SequenceView>{{5, 5}}, 8).empty());
  EXPECT_TRUE(plan_step({}, 8).empty());
}

TEST(StepPlan, NeverExceedsTheBudgetNeverRepeatsAndAlwaysMoves) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    std::vector<SequenceView> running(random() % 20);
    uint32_t missing = 0;
    for (SequenceView& s : running) {
      s.computed = static_cast<uint32_t>(random() % 50);
      s.known = s.computed + static_cast<uint32_t>(random() % 3 == 0 ? random() % 40 : random() % 2);
      missing += s.known - s.computed;
    }
    const uint32_t budget = 1 + static_cast<uint32_t>(random() % 64);
    uint32_t rows = 0;
    int64_t last = -1;
    for (const StepChunk& chunk : plan_step(running, budget)) {
      ASSERT_GT(static_cast<int64_t>(chunk.index), last);
      last = chunk.index;
      ASSERT_GE(chunk.count, 1U);
      ASSERT_LE(chunk.count, running[chunk.index].known - running[chunk.index].computed);
      rows += chunk.count;
    }
    ASSERT_LE(rows, budget);
    ASSERT_EQ(rows == 0, missing == 0);
  }
}

}  // namespace
}  // namespace headrace
