#include <gtest/gtest.h>

#include "schedule/admission.h"

namespace headrace {
namespace {

// Snapshots with one layer group and pages of 16 tokens.
struct Case {
  std::vector<RunningView> running;
  std::vector<WaitingView> waiting;
  Snapshot now;

  Case() {
    now.page_tokens = 16;
    now.available = {100};
    now.largest = {100};
    now.max_rows = 64;
    now.max_sequences = 8;
  }
  Case& run(uint64_t id, uint32_t known, uint32_t computed, uint32_t released = 0, int32_t priority = 0) {
    running.push_back({.place = {static_cast<int64_t>(id) - priority * kStepsPerPriority, id},
                       .priority = priority,
                       .known = known,
                       .computed = computed,
                       .released = {released}});
    return *this;
  }
  Case& wait(uint64_t id, uint32_t known, uint32_t cached = 0, uint32_t taken = 0, int32_t priority = 0) {
    waiting.push_back({.place = {static_cast<int64_t>(id) - priority * kStepsPerPriority, id},
                       .priority = priority,
                       .known = known,
                       .cached = cached,
                       .taken = {taken}});
    return *this;
  }
  StepPlan plan() {
    now.running = running;
    now.waiting = waiting;
    return ContinuousBatching().plan(now);
  }
};

using Chunks = std::vector<std::pair<uint32_t, uint32_t>>;
Chunks chunks(const std::vector<StepChunk>& list) {
  Chunks out;
  for (const StepChunk& c : list) out.emplace_back(c.index, c.count);
  return out;
}

TEST(ContinuousBatching, AnswersGoOnBesideALongPrompt) {
  const StepPlan plan = Case().run(1, 500, 100).run(2, 31, 30).run(3, 41, 40).plan();
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 62}, {1, 1}, {2, 1}}));
}

TEST(ContinuousBatching, NewPromptsTakeTheRowsThatAreLeft) {
  const StepPlan plan = Case().run(1, 31, 30).wait(2, 20).wait(3, 90).wait(4, 10).plan();
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 1}}));
  EXPECT_EQ(chunks(plan.admit), (Chunks{{0, 20}, {1, 43}}));
}

TEST(ContinuousBatching, AChunkIsNoLongerThanItsLimit) {
  Case c;
  c.now.max_chunk = 7;
  const StepPlan plan = c.run(1, 90, 10).wait(2, 20).plan();
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 7}}));
  EXPECT_EQ(chunks(plan.admit), (Chunks{{0, 7}}));
}

TEST(ContinuousBatching, CachedTokensAreNotComputed) {
  const StepPlan plan = Case().wait(1, 50, 49).plan();
  EXPECT_EQ(chunks(plan.admit), (Chunks{{0, 1}}));
}

TEST(ContinuousBatching, NobodyOvertakesTheFirstThatDoesNotFit) {
  Case c;
  c.now.available = {4};
  const StepPlan plan = c.run(1, 31, 30).wait(2, 200).wait(3, 5).plan();
  EXPECT_TRUE(plan.admit.empty());
}

TEST(ContinuousBatching, APriorityIsAHeadStart) {
  const StepPlan plan = Case().wait(1, 60).wait(2, 60, 0, 0, 1).plan();
  EXPECT_EQ(chunks(plan.admit), (Chunks{{1, 60}, {0, 4}}));
  // ... which time makes up for.
  Case late;
  late.wait(1, 60).wait(2 + kStepsPerPriority, 60, 0, 0, 1);
  EXPECT_EQ(chunks(late.plan().admit).front().first, 0U);
}

TEST(ContinuousBatching, WhoeverWouldComputeTheSameWaits) {
  Case c;
  c.wait(1, 30).wait(2, 30).wait(3, 30);
  c.waiting[0].next_page = c.waiting[1].next_page = 77;
  c.waiting[2].parked = true;
  EXPECT_EQ(chunks(c.plan().admit), (Chunks{{0, 30}}));
}

TEST(ContinuousBatching, WithoutPagesTheLastInLineGivesWay) {
  Case c;
  c.now.available = {0};
  const StepPlan plan = c.run(1, 33, 32, 2).run(2, 33, 32, 2).run(3, 20, 19, 2).plan();
  EXPECT_EQ(plan.preempt, (std::vector<uint32_t>{2}));
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 1}, {1, 1}}));
}

TEST(ContinuousBatching, NobodyNewComesWhileSomebodyGivesWay) {
  Case c;
  c.now.available = {0};
  const StepPlan plan = c.run(1, 33, 32, 2).run(2, 33, 32, 20).wait(3, 5).plan();
  EXPECT_EQ(plan.preempt, (std::vector<uint32_t>{1}));
  EXPECT_TRUE(plan.admit.empty());
}

TEST(ContinuousBatching, OnlyLowerPriorityIsPreemptedForAWaitingOne) {
  Case equal;
  equal.now.max_sequences = 1;
  EXPECT_TRUE(equal.run(5, 31, 30, 2).wait(1, 5).plan().preempt.empty());
  Case higher;
  higher.now.max_sequences = 1;
  const StepPlan plan = higher.run(5, 31, 30, 2).wait(6, 5, 0, 0, 1).plan();
  EXPECT_EQ(plan.preempt, (std::vector<uint32_t>{0}));
  EXPECT_EQ(chunks(plan.admit), (Chunks{{0, 5}}));
}

TEST(ContinuousBatching, PagesSharedWithAVictimAreNotWonTwice) {
  Case c;
  c.now.available = {0};
  c.now.largest = {10};
  c.run(5, 31, 31, 3).wait(6, 60, 48, 0, 1);
  c.waiting[0].shared = {3};
  EXPECT_TRUE(c.plan().preempt.empty());  // 3 pages won, 3 of them its own prefix: no page for the rest
}

TEST(ContinuousBatching, WhatIsInUseBeyondALoweredLimitGoesFirst) {
  Case c;
  c.now.available = {0};
  c.now.overdrawn = {3};
  const StepPlan plan = c.run(1, 33, 32, 2).run(2, 33, 32, 2).run(3, 33, 32, 4).plan();
  EXPECT_EQ(plan.preempt, (std::vector<uint32_t>{2}));
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 1}}));
}

TEST(ContinuousBatching, AStuckPromptTakesThePagesOfOthers) {
  Case c;
  c.now.available = {0};
  const StepPlan plan = c.run(1, 90, 32, 2).run(2, 60, 16, 1).plan();
  EXPECT_EQ(plan.preempt, (std::vector<uint32_t>{1}));
  EXPECT_EQ(chunks(plan.running), (Chunks{{0, 16}}));
}

TEST(NewPages, CountsThePagesThatBegin) {
  EXPECT_EQ(new_pages(0, 1, 16), 1U);
  EXPECT_EQ(new_pages(0, 16, 16), 1U);
  EXPECT_EQ(new_pages(0, 17, 16), 2U);
  EXPECT_EQ(new_pages(5, 11, 16), 0U);
  EXPECT_EQ(new_pages(16, 1, 16), 1U);
}

}  // namespace
}  // namespace headrace
