// By the rule of rejection texts are distributed as the target's own, whatever drafts say.
#include "decode/rejection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "decode/draw_scratch.h"
#include "ops/testing/random.h"

namespace headrace {
namespace {

constexpr int32_t kVocab = 16;
constexpr uint32_t kTokens = 3;
constexpr size_t kTexts = 16 * 16 * 16;

using Distribution = std::vector<TokenProbability>;

// What follows each token; the text begins after token 0.
struct Table {
  std::array<Distribution, kVocab> rows;
};

// The closer `alike` is to 1, the more the table is `other`.
Table random_table(uint64_t seed, double alike, const Table* other) {
  ops_testing::Random random(seed);
  Table table;
  for (size_t from = 0; from < kVocab; ++from) {
    const std::vector<float> logits = ops_testing::random_floats(random, kVocab);
    double total = 0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit));
    for (int32_t token = 0; token < kVocab; ++token) {
      const auto i = static_cast<size_t>(token);
      const double own = std::exp(static_cast<double>(logits[i])) / total;
      const double theirs = other == nullptr ? own : other->rows[from][i].probability;
      table.rows[from].push_back({token, alike * theirs + (1 - alike) * own});
    }
  }
  return table;
}

enum class Mistake { none, residual_is_target, bonus_from_draft };

// Texts by their number, drawn with drafts of up to `most` tokens; what is left in a text is at least one.
class Sampler {
 public:
  Sampler(const Table& target, const Table& draft, bool certain, Mistake mistake)
      : target_(target), draft_(draft), certain_(certain), mistake_(mistake) {}

  size_t text(uint64_t seed, uint32_t most) {
    SamplingParams params;
    params.seed = seed;
    std::array<int32_t, kTokens + 1> text = {};  // position 0 is the prompt
    uint32_t known = 1;
    while (known <= kTokens) {
      propose(params, text[known - 1], known, std::min(most, kTokens - known));
      int32_t at = Draft::kText;
      do {
        const int32_t token = draw(params, text[known - 1], known, at);
        at = drafted_.child(at, token);
        accepted_ += at != Draft::kNone ? 1 : 0;
        text[known++] = token;
      } while (at != Draft::kNone && known <= kTokens);
    }
    return static_cast<size_t>((text[1] * kVocab + text[2]) * kVocab + text[3]);
  }
  uint64_t accepted() const { return accepted_; }

 private:
  void propose(const SamplingParams& params, int32_t last, uint32_t position, uint32_t count) {
    drafted_.clear();
    odds_.clear();
    int32_t parent = Draft::kText;
    for (uint32_t i = 0; i < count; ++i) {
      const Distribution& q = draft_.rows[static_cast<size_t>(last)];
      if (certain_) {
        last = std::ranges::max_element(q, {}, &TokenProbability::probability)->token;
      } else {
        odds_.add(q);
        last = draw_from(q, params, position + i, DrawStream::draft);
      }
      parent = drafted_.add(last, parent, kDrawnTrust);
    }
  }
  int32_t draw(const SamplingParams& params, int32_t last, uint32_t position, int32_t at) {
    Distribution p = target_.rows[static_cast<size_t>(last)];
    const bool bonus = at != Draft::kText && static_cast<uint32_t>(at) + 1 == drafted_.size();
    if (mistake_ == Mistake::bonus_from_draft && bonus)
      return draw_from(draft_.rows[static_cast<size_t>(last)], params, position, DrawStream::token);
    const int32_t token = draw_by_rejection(drafted_, odds_, at, params, position, p);
    const bool rejected = drafted_.child(at, token) == Draft::kNone && !bonus && !drafted_.empty();
    if (mistake_ == Mistake::residual_is_target && rejected)
      return draw_from(target_.rows[static_cast<size_t>(last)], params, position, DrawStream::residual);
    return token;
  }

  const Table& target_;
  const Table& draft_;
  bool certain_;
  Mistake mistake_;
  Draft drafted_;
  DraftOdds odds_;
  uint64_t accepted_ = 0;
};

// Of a chi-square test, in standard deviations: 2.33 is a probability of 0.01.
double surprise(const std::vector<uint64_t>& counts, const std::vector<double>& expected) {
  double sum = 0;
  double rest_expected = 0;
  double rest = 0;
  double freedom = -1;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto count = static_cast<double>(counts[i]);
    if (expected[i] < 5) {  // too few for the test: together
      rest_expected += expected[i];
      rest += count;
      continue;
    }
    sum += (count - expected[i]) * (count - expected[i]) / expected[i];
    freedom += 1;
  }
  if (rest_expected >= 5) {
    sum += (rest - rest_expected) * (rest - rest_expected) / rest_expected;
    freedom += 1;
  }
  const double variance = 2 / (9 * freedom);
  return (std::cbrt(sum / freedom) - (1 - variance)) / std::sqrt(variance);
}

struct Outcome {
  double surprise;
  double accepted;  // tokens a text
};
Outcome sampled(double alike, bool certain, Mistake mistake, uint64_t samples) {
  const Table target = random_table(1, 0, nullptr);
  const Table draft = random_table(2, alike, &target);
  std::vector<double> expected(kTexts);
  for (size_t i = 0; i < kTexts; ++i) {
    const size_t a = i / 256;
    const size_t b = i / 16 % 16;
    expected[i] = static_cast<double>(samples) * target.rows[0][a].probability *
                  target.rows[a][b].probability * target.rows[b][i % 16].probability;
  }
  Sampler sampler(target, draft, certain, mistake);
  std::vector<uint64_t> counts(kTexts);
  for (uint64_t seed = 0; seed < samples; ++seed) ++counts[sampler.text(seed, 2)];
  return {surprise(counts, expected), static_cast<double>(sampler.accepted()) / static_cast<double>(samples)};
}

constexpr uint64_t kSamples = 1'000'000;
constexpr double kLimit = 2.33;

TEST(Rejection, TextsAreDistributedAsTheTargets) {
  for (const double alike : {0.0, 0.6, 1.0}) {
    const Outcome outcome = sampled(alike, false, Mistake::none, alike == 0.6 ? kSamples : kSamples / 4);
    EXPECT_LT(outcome.surprise, kLimit) << alike;
    EXPECT_GT(outcome.accepted, 0.5) << alike;
    if (alike == 1) {
      EXPECT_DOUBLE_EQ(outcome.accepted, 2);  // every draft is right
    }
  }
}

TEST(Rejection, SoTheyAreWhereADrafterIsCertain) {
  const Outcome outcome = sampled(0.5, true, Mistake::none, kSamples);
  EXPECT_LT(outcome.surprise, kLimit);
  EXPECT_GT(outcome.accepted, 0.1);
}

// The test sees what it is there to see.
TEST(Rejection, AResidualThatIsTheTargetIsNoticed) {
  EXPECT_GT(sampled(0.6, false, Mistake::residual_is_target, kSamples / 5).surprise, 5);
  EXPECT_GT(sampled(0.5, true, Mistake::residual_is_target, kSamples / 5).surprise, 5);
}
TEST(Rejection, ABonusFromTheDraftIsNoticed) {
  EXPECT_GT(sampled(0.6, false, Mistake::bonus_from_draft, kSamples / 5).surprise, 5);
}

TEST(Rejection, SiblingsThatAreCertainAreTriedInTurn) {
  Draft draft;
  draft.add(3, Draft::kText, 0);
  draft.add(5, Draft::kText, 0);
  const DraftOdds none;
  std::array<uint64_t, 8> counts = {};
  SamplingParams params;
  const Distribution target = {{1, 0.3}, {3, 0.4}, {5, 0.2}, {7, 0.1}};
  for (uint64_t seed = 0; seed < 100'000; ++seed) {
    params.seed = seed;
    Distribution p = target;
    ++counts[static_cast<size_t>(draw_by_rejection(draft, none, Draft::kText, params, 9, p))];
  }
  std::vector<uint64_t> found;
  std::vector<double> expected;
  for (const TokenProbability& of : target) {
    found.push_back(counts[static_cast<size_t>(of.token)]);
    expected.push_back(100'000 * of.probability);
  }
  EXPECT_LT(surprise(found, expected), kLimit);
}

TEST(Rejection, GreedyTextsStayWhatTheyAre) {
  SamplingParams greedy;
  greedy.temperature = 0;
  std::vector<float> logits = {0, 3, 1, 3};
  DrawScratch scratch;
  Distribution p;
  draw_distribution(greedy, logits, {}, scratch, p);
  ASSERT_EQ(p.size(), 1U);
  EXPECT_EQ(p[0].token, 1);
  Draft draft;
  draft.add(2, Draft::kText, 0);
  EXPECT_EQ(draw_by_rejection(draft, DraftOdds(), Draft::kText, greedy, 4, p), 1);
}

TEST(Rejection, WhatDrawsComeFromIsWhatDrawsAre) {
  SamplingParams params;
  params.top_k = 5;
  params.top_p = 0.9F;
  params.presence_penalty = 0.5F;
  ops_testing::Random random(3);
  const std::vector<float> raw = ops_testing::random_floats(random, 40);
  const std::vector<int32_t> history = {1, 2, 3};
  DrawScratch scratch;
  std::vector<float> logits = raw;
  Distribution p;
  draw_distribution(params, logits, history, scratch, p);
  std::vector<uint64_t> counts(40);
  constexpr uint64_t kDraws = 50'000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    params.seed = seed;
    logits = raw;
    ++counts[static_cast<size_t>(draw_token(params, logits, history, 3, scratch))];
  }
  std::vector<uint64_t> found;
  std::vector<double> expected;
  uint64_t all = 0;
  for (const TokenProbability& of : p) {
    found.push_back(counts[static_cast<size_t>(of.token)]);
    all += found.back();
    expected.push_back(static_cast<double>(kDraws) * of.probability);
  }
  EXPECT_EQ(all, kDraws);
  EXPECT_LT(surprise(found, expected), kLimit);
}

}  // namespace
}  // namespace headrace
