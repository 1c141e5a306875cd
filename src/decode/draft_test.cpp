#include <gtest/gtest.h>

#include "decode/draft_length.h"
#include "decode/ngram_drafter.h"
#include "decode/retained_layers.h"

namespace headrace {
namespace {

std::vector<int32_t> drafted(std::vector<int32_t> text, uint32_t most, const NgramOptions& options = {}) {
  const auto drafter = make_ngram_drafter(options);
  const SamplingParams greedy;
  Draft draft;
  const DraftRequest request = {
      .sequence = 1, .tokens = text, .sampling = &greedy, .most = most, .draft = &draft};
  drafter->propose({&request, 1});
  EXPECT_TRUE(draft.is_chain());
  std::vector<int32_t> tokens;
  for (uint32_t i = 0; i < draft.size(); ++i) tokens.push_back(draft.node(i).token);
  return tokens;
}

TEST(NgramDrafter, SaysWhatFollowedBefore) {
  EXPECT_EQ(drafted({1, 2, 3, 4, 5, 6, 2, 3}, 3), (std::vector<int32_t>{4, 5, 6}));
  EXPECT_EQ(drafted({1, 2, 3, 4, 5}, 3), std::vector<int32_t>());
  EXPECT_EQ(drafted({7}, 3), std::vector<int32_t>());
}

TEST(NgramDrafter, TheLongestAgreementDecidesThenTheLatest) {
  EXPECT_EQ(drafted({1, 2, 3, 9, 8, 2, 3, 7, 7, 1, 2, 3}, 1), std::vector<int32_t>{9});
  EXPECT_EQ(drafted({5, 2, 3, 9, 6, 2, 3, 8, 7, 2, 3}, 1), std::vector<int32_t>{8});
}

TEST(NgramDrafter, ALoopGoesOnAsALoop) {
  EXPECT_EQ(drafted({4, 5, 6, 4, 5, 6, 4, 5}, 7), (std::vector<int32_t>{6, 4, 5, 6, 4, 5, 6}));
}

TEST(NgramDrafter, LooksNoFurtherBackThanItMay) {
  EXPECT_EQ(drafted({1, 2, 9, 0, 0, 0, 0, 1, 2}, 1, {.look_back = 6}), std::vector<int32_t>());
  EXPECT_EQ(drafted({1, 2, 9, 0, 0, 0, 0, 1, 2}, 1, {.look_back = 9}), std::vector<int32_t>{9});
}

TEST(NgramDrafter, WhatWasOutvotedHasABranchOfItsOwn) {
  const auto drafter = make_ngram_drafter();
  const SamplingParams greedy;
  const std::vector<int32_t> text = {5, 2, 3, 9, 6, 2, 3, 8, 7, 2, 3};
  Draft draft;
  const DraftRequest request = {
      .sequence = 1, .tokens = text, .sampling = &greedy, .most = 6, .branches = 2, .draft = &draft};
  drafter->propose({&request, 1});
  ASSERT_EQ(draft.size(), 6U);
  EXPECT_EQ(draft.leaves(), 2U);
  const int32_t later = draft.child(Draft::kText, 8);
  const int32_t earlier = draft.child(Draft::kText, 9);
  EXPECT_EQ(later, 0);
  ASSERT_GT(earlier, 1);  // two tokens later
  EXPECT_NE(draft.child(later, 7), Draft::kNone);
  EXPECT_NE(draft.child(earlier, 6), Draft::kNone);
}

TEST(NgramDrafter, ABranchThatLoopsRepeatsItself) {
  const auto drafter = make_ngram_drafter({.shortest = 1});
  const SamplingParams greedy;
  const std::vector<int32_t> text = {1, 2, 9, 1, 2, 1, 2, 9, 1, 2};
  Draft draft;
  const DraftRequest request = {
      .sequence = 1, .tokens = text, .sampling = &greedy, .most = 24, .branches = 4, .draft = &draft};
  drafter->propose({&request, 1});
  ASSERT_EQ(draft.size(), 24U);
  EXPECT_GT(draft.leaves(), 1U);
  // Every way through it is one that the text has gone, its draft included.
  for (uint32_t i = 0; i < draft.size(); ++i) {
    const int32_t parent = draft.node(i).parent;
    const int32_t before = parent == Draft::kText ? 2 : draft.node(static_cast<uint32_t>(parent)).token;
    const int32_t token = draft.node(i).token;
    EXPECT_TRUE(before == 1 ? token == 2 : before == 9 ? token == 1 : token == 9 || token == 1) << i;
  }
}

TEST(Draft, KeepsParentsWithTheirChildren) {
  Draft draft;
  const int32_t a = draft.add(10, Draft::kText, 0);
  const int32_t b = draft.add(11, Draft::kText, 0);
  const int32_t c = draft.add(12, b, 0);
  draft.add(13, a, 0);
  draft.add(14, c, 0);
  EXPECT_EQ(draft.leaves(), 2U);
  EXPECT_EQ(draft.ancestors(4), 0b101101U);
  draft.keep(0b10110);
  ASSERT_EQ(draft.size(), 3U);
  EXPECT_EQ(draft.child(Draft::kText, 11), 0);
  EXPECT_EQ(draft.child(0, 12), 1);
  EXPECT_EQ(draft.child(1, 14), 2);
  EXPECT_EQ(draft.child(Draft::kText, 10), Draft::kNone);
  EXPECT_TRUE(draft.is_chain());
  EXPECT_EQ(draft.node(2).depth, 3U);
}

StepCost cost_of(std::initializer_list<std::pair<uint32_t, double>> points) {
  StepCost cost;
  for (const auto& [rows, seconds] : points) cost.add_point(rows, seconds);
  return cost;
}

TEST(StepCost, DrawsLinesBetweenPointsAndFollowsWhatIsMeasured) {
  StepCost cost = cost_of({{1, 1.0}, {3, 2.0}, {8, 12.0}});
  EXPECT_DOUBLE_EQ(cost.seconds(2), 1.5);
  EXPECT_DOUBLE_EQ(cost.seconds(16), 24.0);
  for (int i = 0; i < 400; ++i) cost.observe(2, 3.0);
  EXPECT_NEAR(cost.seconds(2), 3.0, 0.01);
  EXPECT_NEAR(cost.seconds(3), 4.0, 0.1);  // the whole machine got slower
  StepCost other = cost_of({{1, 1.0}, {3, 2.0}});
  other.observe(3, 2.5);
  EXPECT_NEAR(other.mean_error(), 0.2, 1e-12);
}

// How many tokens of a chain with rate r are taken.
uint32_t taken(const StepCost& cost, double rate, uint64_t rows, uint32_t least = 0) {
  Acceptance pooled;
  for (int i = 0; i < 1000; ++i) pooled.observe(0, i % 100 < 100 * rate);
  Draft draft;
  int32_t parent = Draft::kText;
  for (int i = 0; i < 8; ++i) parent = draft.add(i, parent, 0);
  const Acceptance own;
  const DraftCandidate candidate = {&draft, &own, &pooled, least};
  std::vector<NodeRank> scratch;
  choose_nodes({&candidate, 1}, cost, rows, scratch);
  return draft.size();
}

TEST(DraftLength, TakesWhatPaysAndNothingElse) {
  const StepCost memory_bound = cost_of({{1, 1.0}, {4, 1.0}, {64, 16.0}});
  EXPECT_EQ(taken(memory_bound, 0.5, 1), 3U);  // as far as rows are free
  const StepCost arithmetic = cost_of({{1, 1.0}, {64, 64.0}});
  EXPECT_EQ(taken(arithmetic, 0.9, 1), 0U);
  EXPECT_EQ(taken(arithmetic, 0.9, 1, 1), 1U);  // but for what explores
  const StepCost between = cost_of({{1, 1.0}, {9, 3.0}});
  EXPECT_GT(taken(between, 0.95, 1), taken(between, 0.7, 1));
  EXPECT_EQ(taken(between, 0.1, 1), 0U);
}

TEST(DraftLength, RowsThatComputeAnywayMakeDraftsLessWorthwhile) {
  const StepCost cost = cost_of({{1, 1.0}, {8, 1.7}, {64, 9.0}, {512, 73.0}});
  EXPECT_GT(taken(cost, 0.8, 1), 0U);
  EXPECT_EQ(taken(cost, 0.8, 64), 0U);
}

TEST(DraftLength, AcceptanceIsLearntAndForgotten) {
  Acceptance pooled;
  EXPECT_DOUBLE_EQ(pooled.rate(3), 0.5);
  for (int i = 0; i < 2000; ++i) pooled.observe(3, true);
  EXPECT_GT(pooled.rate(3), 0.98);
  for (int i = 0; i < 1000; ++i) pooled.observe(3, false);
  EXPECT_LT(pooled.rate(3), 0.05);
  EXPECT_NEAR(pooled.mean_rate(), pooled.rate(3), 1e-6);
  const Acceptance fresh;
  EXPECT_NEAR(fresh.rate(3, &pooled), pooled.rate(3), 1e-6);
}

TEST(DraftLength, AnExpensiveDrafterHasToBeSure) {
  const StepCost cost = cost_of({{1, 1.0}, {8, 1.7}});
  EXPECT_NEAR(least_worth_drafting(cost, 1, 1, 0.2), 0.3, 1e-9);  // a row, and what the drafter takes
  EXPECT_GT(least_worth_drafting(cost, 1, 1, 2.0), 1);            // never
  EXPECT_NEAR(least_worth_drafting(cost, 4, 4, 0.2), (0.4 + 0.2) / 1.3, 1e-9);  // shared by four
}

// Golden sets of the paper's rule (papers: Unified Layer Skipping, 2.1).
TEST(RetainedLayers, AreThoseOfThePaper) {
  const auto kept = [](uint32_t layers, uint32_t speedup) {
    std::vector<uint32_t> numbers;
    const std::vector<bool> keep = retained_layers(layers, speedup);
    for (uint32_t l = 0; l < layers; ++l)
      if (keep[l]) numbers.push_back(l);
    return numbers;
  };
  using Layers = std::vector<uint32_t>;
  EXPECT_EQ(kept(30, 2), (Layers{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 29}));
  EXPECT_EQ(kept(30, 3), (Layers{0, 3, 6, 9, 12, 15, 18, 21, 24, 29}));
  EXPECT_EQ(kept(30, 5), (Layers{0, 6, 12, 18, 24, 29}));
  EXPECT_EQ(kept(30, 10), (Layers{0, 15, 29}));
  EXPECT_EQ(kept(32, 3), (Layers{0, 3, 6, 9, 12, 15, 18, 21, 24, 31}));
  EXPECT_EQ(kept(24, 5), (Layers{0, 8, 16, 23}));
  EXPECT_EQ(kept(12, 9), (Layers{0, 11}));
  EXPECT_EQ(kept(3, 1), (Layers{0, 1, 2}));
}

}  // namespace
}  // namespace headrace
