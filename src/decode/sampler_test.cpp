#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "decode/draw_scratch.h"

namespace headrace {
namespace {

Draw draw(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
          uint32_t position, double log_sum_exp) {
  DrawScratch scratch;
  return draw(params, logits, history, position, log_sum_exp, scratch);
}

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

SamplingParams plain() {
  SamplingParams p;
  p.temperature = 1.0F;
  p.top_k = 0;
  p.top_p = 1.0F;
  p.min_p = 0.0F;
  return p;
}

int32_t drawn(const SamplingParams& p, std::vector<float> logits, uint32_t position,
              std::vector<int32_t> history = {}) {
  return draw(p, logits, history, position, 0).token;
}

std::set<int32_t> support(const SamplingParams& p, const std::vector<float>& logits) {
  std::set<int32_t> tokens;
  for (uint32_t position = 0; position < 3000; ++position) tokens.insert(drawn(p, logits, position));
  return tokens;
}

TEST(Sampler, UniformIsPhilox) {
  // Philox 4x32-10 of counter 0 and key 0 begins with 6627e8d5 e169c58d (Random123's known answers).
  const uint64_t bits = 0x6627e8d5e169c58dULL >> 12;
  EXPECT_EQ(draw_uniform(0, 0, 0, 0), (static_cast<double>(bits) + 0.5) * 0x1p-52);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F, -1.0F};
  double total = 0;
  for (const float l : logits) total += std::exp(static_cast<double>(l));
  std::map<int32_t, double> counts;
  constexpr int kDraws = 40000;
  for (uint32_t position = 0; position < kDraws; ++position) counts[drawn(plain(), logits, position)] += 1;
  double chi2 = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double expected = kDraws * std::exp(static_cast<double>(logits[i])) / total;
    chi2 += std::pow(counts[static_cast<int32_t>(i)] - expected, 2) / expected;
  }
  EXPECT_LT(chi2, 16.3);  // 3 degrees of freedom, p = 0.001
}

TEST(Sampler, ADrawDependsOnSeedChoicePositionAndNothingElse) {
  std::mt19937 random(3);
  std::vector<float> logits(500);
  for (float& l : logits) l = static_cast<float>(random() % 1000) / 200.0F;
  SamplingParams a = plain();
  a.seed = 7;
  EXPECT_EQ(drawn(a, logits, 5), drawn(a, logits, 5, {1, 2, 3}));
  std::set<int32_t> by_position;
  std::set<int32_t> by_seed;
  std::set<int32_t> by_choice;
  for (uint32_t i = 0; i < 50; ++i) {
    SamplingParams b = a;
    by_position.insert(drawn(b, logits, i));
    b.seed = i;
    by_seed.insert(drawn(b, logits, 0));
    b.seed = 7;
    b.choice = i;
    by_choice.insert(drawn(b, logits, 0));
  }
  EXPECT_GT(by_position.size(), 10U);
  EXPECT_GT(by_seed.size(), 10U);
  EXPECT_GT(by_choice.size(), 10U);
}

TEST(Sampler, RemovingAnUndrawnCandidateNeverChangesTheDraw) {
  // What makes Gumbel-max fit for speculation: noise belongs to the token, not to its rank.
  const std::vector<float> logits = {1.0F, 1.1F, 0.9F, 1.2F, 0.8F};
  for (uint32_t position = 0; position < 200; ++position) {
    const int32_t token = drawn(plain(), logits, position);
    for (int32_t other = 0; other < 5; ++other) {
      if (other == token) continue;
      SamplingParams p = plain();
      p.logit_bias = {{other, kForbidden}};
      ASSERT_EQ(drawn(p, logits, position), token);
    }
  }
}

TEST(Sampler, TemperatureZeroTakesTheLowestOfEqualLogits) {
  SamplingParams p;
  p.temperature = 0;
  EXPECT_EQ(drawn(p, {1, 3, 3, 2}, 0), 1);
  EXPECT_TRUE(is_plain_argmax(p));
}

TEST(Sampler, TopKKeepsTheKBestAndLowIdsAmongEquals) {
  SamplingParams p = plain();
  p.top_k = 2;
  EXPECT_EQ(support(p, {1, 1, 1, 1}), (std::set<int32_t>{0, 1}));
  EXPECT_EQ(support(p, {0, 2, 1, 3}), (std::set<int32_t>{1, 3}));
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  SamplingParams p = plain();
  p.top_p = 0.6F;
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(4.0F), std::log(2.0F), 0, 0};
  EXPECT_EQ(support(p, logits), (std::set<int32_t>{0, 1}));
  p.top_p = 0.4F;
  EXPECT_EQ(support(p, logits), (std::set<int32_t>{0}));
}

TEST(Sampler, MinPDropsWhatIsMuchLessLikelyThanTheBest) {
  SamplingParams p = plain();
  p.min_p = 0.3F;
  EXPECT_EQ(support(p, {std::log(4.0F), std::log(2.0F), 0, 0}), (std::set<int32_t>{0, 1}));
}

TEST(Sampler, PenaltiesTouchRecentTokensOnly) {
  SamplingParams p;
  p.temperature = 0;
  p.penalty_last_n = 2;
  p.presence_penalty = 1.0F;
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0, 0}), 1);
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0, 2, 2}), 0);
  p.penalty_last_n = -1;
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0, 2, 2}), 1);
}

TEST(Sampler, FrequencyCountsAndRepeatDividesOrMultiplies) {
  SamplingParams p;
  p.temperature = 0;
  p.frequency_penalty = 0.3F;
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0}), 0);
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0, 0}), 1);
  p.frequency_penalty = 0;
  p.repeat_penalty = 2.0F;
  EXPECT_EQ(drawn(p, {2.0F, 1.5F, 0}, 3, {0}), 1);
  EXPECT_EQ(drawn(p, {-1.0F, -1.5F, -9.0F}, 3, {0}), 1);
}

TEST(Sampler, BiasForbidsAndForces) {
  SamplingParams p = plain();
  p.logit_bias = {{2, kForbidden}, {0, 100.0F}};
  EXPECT_EQ(support(p, {0, 0, 50}), (std::set<int32_t>{0}));
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  SamplingParams p = plain();
  p.logprobs = true;
  p.n_top_logprobs = 2;
  p.logit_bias = {{0, 100.0F}};
  std::vector<float> logits = {1.0F, 3.0F, 2.0F};
  const double lse = std::log(std::exp(1.0) + std::exp(3.0) + std::exp(2.0));
  const Draw d = draw(p, logits, {}, 0, lse);
  EXPECT_EQ(d.token, 0);
  EXPECT_DOUBLE_EQ(d.logprob, 1.0 - lse);
  ASSERT_EQ(d.top.size(), 2U);
  EXPECT_EQ(d.top[0].token, 1);
  EXPECT_DOUBLE_EQ(d.top[1].logprob, 2.0 - lse);
}

TEST(Sampler, TheReportedAreTheFirstOfASortOfTheWholeRow) {
  std::mt19937 random(5);
  for (const uint32_t n : {1U, 3U, 20U, 1023U, 1024U, 1025U, 1999U, 2000U}) {
    std::vector<float> logits(2000);
    for (float& l : logits) l = static_cast<float>(random() % 300) / 10.0F;
    for (size_t i = 0; i < logits.size(); i += 400) logits[i] = kForbidden;
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    SamplingParams p = plain();
    p.logprobs = true;
    p.n_top_logprobs = n;
    const Draw d = draw(p, logits, {}, 0, 0);
    ASSERT_EQ(d.top.size(), n);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(d.top[i].token, order[i]) << n << " reported, number " << i;
  }
}

TEST(Sampler, RefusesParametersThatMeanNothingByName) {
  const auto refused = [](auto change) {
    SamplingParams p;
    change(p);
    const Status status = check_sampling(p, 10);
    return status ? std::string() : status.error().message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refused([&](auto& p) { p.temperature = nan; }).find("temperature"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.top_p = -0.5F; }).find("top_p"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.min_p = 2; }).find("min_p"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.top_k = -2; }).find("top_k"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.repeat_penalty = 0; }).find("repeat_penalty"), std::string::npos);
  EXPECT_NE(refused([](auto& p) { p.logit_bias = {{10, 0.0F}}; }).find("logit_bias"), std::string::npos);
  EXPECT_NE(refused([&](auto& p) { p.logit_bias = {{1, nan}}; }).find("logit_bias"), std::string::npos);
  EXPECT_EQ(refused([](auto&) {}), "");
}

TEST(Sampler, NotANumberNeverWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  SamplingParams greedy;
  greedy.temperature = 0;
  EXPECT_EQ(drawn(greedy, {nan, 1.0F, 2.0F, nan, 2.0F}, 0), 2);
  EXPECT_EQ(drawn(greedy, {nan, nan}, 0), 0);
  SamplingParams listed = plain();
  listed.logprobs = true;
  listed.n_top_logprobs = 3;
  std::vector<float> logits = {nan, 1.0F, nan, 3.0F};
  const Draw d = draw(listed, logits, {}, 0, 0);
  ASSERT_EQ(d.top.size(), 2U);
  EXPECT_EQ(d.top[0].token, 3);
  EXPECT_EQ(support(plain(), {nan, 1.0F, nan}), (std::set<int32_t>{1}));
}

}  // namespace
}  // namespace headrace
