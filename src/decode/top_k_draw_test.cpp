// A draw from the best logits of a row is the draw from the row, bit for bit, whenever it says that it can
// be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "decode/draw_scratch.h"
#include "ops/reference/reference_backend.h"
#include "ops/testing/device.h"
#include "ops/testing/random.h"

namespace headrace {
namespace {

using ops_testing::Device;
using ops_testing::Random;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Best {
  std::vector<int32_t> ids;
  std::vector<float> values;
};

Best best_of(Device& device, const std::vector<float>& row, uint32_t k) {
  int32_t* ids = device.make<int32_t>(k);
  float* values = device.make<float>(k);
  device.ops().top_k(device.mat(row, row.size()), k, ids, values);
  return {device.download(ids, k), device.download(values, k)};
}

bool same(const Draw& a, const Draw& b) {
  const auto same_double = [](double x, double y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  return a.token == b.token && same_double(a.logprob, b.logprob) &&
         std::equal(a.top.begin(), a.top.end(), b.top.begin(), b.top.end(),
                    [&](const auto& x, const auto& y) {
                      return x.token == y.token && same_double(x.logprob, y.logprob);
                    });
}

// Any row that a draw could meet: smooth, with many ties, all equal, with numbers that are none.
std::vector<float> random_row(Random& random, size_t vocab) {
  const uint32_t kind = random.below(8);
  const float bad[] = {kNan, kInfinity, -kInfinity};
  std::vector<float> row(vocab);
  for (float& logit : row) {
    logit = 4.0F * random.normal();
    if (kind == 0) logit = static_cast<float>(random.below(6)) - 3.0F;
    if (kind == 1) logit = static_cast<float>(random.below(100)) / 8.0F;
    if (kind == 2) logit = random.below(2) == 0 ? 0.0F : -0.0F;
    if (kind == 3 && random.below(20) == 0) logit = random.pick(std::span<const float>(bad));
    if (kind == 4 && random.below(20) != 0) logit = random.below(2) == 0 ? kNan : -kInfinity;
  }
  return row;
}

// The likely tokens of the row among them, so that adjustments matter.
std::vector<int32_t> random_history(Random& random, const Best& best, size_t vocab) {
  std::vector<int32_t> history(random.below(150));
  for (int32_t& token : history) {
    const int32_t likely = best.ids[random.below(30)];
    token = likely >= 0 && random.below(2) == 0
                ? likely
                : static_cast<int32_t>(random.below(static_cast<uint32_t>(vocab)));
  }
  return history;
}

SamplingParams random_params(Random& random, const Best& best, size_t vocab) {
  const auto one_of = [&](std::initializer_list<float> values) {
    return random.pick(std::span<const float>(values.begin(), values.size()));
  };
  SamplingParams p;
  p.temperature = one_of({0.0F, 0.3F, 0.8F, 1.0F, 3.0F});
  p.top_k = static_cast<int32_t>(random.pick(std::span<const uint32_t>({1U, 2U, 7U, 40U, 100U, 256U})));
  p.top_p = one_of({0.1F, 0.7F, 0.95F, 1.0F});
  p.min_p = one_of({0.0F, 0.01F, 0.05F, 0.5F, 1.0F});
  p.repeat_penalty = one_of({1.0F, 1.0F, 1.1F, 2.0F});
  p.presence_penalty = one_of({0.0F, 0.0F, 0.5F, 3.0F});
  p.frequency_penalty = one_of({0.0F, 0.0F, 0.1F, 1.5F});
  p.penalty_last_n = static_cast<int32_t>(random.below(100)) - 1;
  p.seed = random.bits();
  p.choice = random.below(4);
  p.logprobs = random.below(2) == 0;
  p.n_top_logprobs = std::min<uint32_t>(random.below(2) * random.below(21), static_cast<uint32_t>(vocab));
  for (uint32_t i = random.below(2) * random.below(20); i > 0; --i) {
    const int32_t likely = best.ids[random.below(40)];
    const int32_t any = static_cast<int32_t>(random.below(static_cast<uint32_t>(vocab)));
    p.logit_bias.emplace_back(likely >= 0 && random.below(2) == 0 ? likely : any,
                              one_of({-kInfinity, -100.0F, -1.0F, -0.25F, 0.0F}));
  }
  return p;
}

// Draws both ways, many times; `spoil` may change the best before they are used.
struct Tally {
  size_t equal = 0;
  size_t different = 0;
  size_t whole_row = 0;       // only the whole row could tell
  size_t had_no_numbers = 0;  // of those
  size_t adjusted = 0;        // draws that adjustments changed
};
template <typename F>
Tally draw_both_ways(uint64_t seed, size_t rounds, F spoil) {
  Random random(seed);
  Tally tally;
  DrawScratch scratch;  // what one draw leaves there must not show in the next
  for (size_t round = 0; round < rounds; ++round) {
    Device device(make_reference_backend());
    const size_t vocab =
        random.pick(std::span<const size_t>({size_t{1}, size_t{5}, size_t{60}, size_t{700}}));
    const std::vector<float> row = random_row(random, vocab);
    const Best all = best_of(device, row, kMaxTopK);
    for (size_t i = 0; i < 8; ++i) {
      const SamplingParams params = random_params(random, all, vocab);
      const std::vector<int32_t> history = random_history(random, all, vocab);
      const uint32_t position = random.below(1000);
      const double log_sum_exp = static_cast<double>(random.normal());
      std::vector<float> logits = row;
      const Draw expected = draw(params, logits, history, position, log_sum_exp, scratch);
      const uint32_t wanted = top_k_wanted(params, history.size());
      if (wanted == 0) {
        ++tally.whole_row;
        continue;
      }
      Best best = best_of(device, row, random.between(wanted, kMaxTopK));
      spoil(params, best);
      const auto found =
          draw_from_top_k(params, best.ids, best.values, history, position, log_sum_exp, scratch);
      if (!found) {
        ++tally.whole_row;
        tally.had_no_numbers += best.ids[wanted - 1] < 0 ? 1 : 0;
        continue;
      }
      (same(expected, *found) ? tally.equal : tally.different) += 1;
      SamplingParams plain = params;
      plain.repeat_penalty = 1;
      plain.presence_penalty = plain.frequency_penalty = 0;
      plain.logit_bias.clear();
      logits = row;
      tally.adjusted +=
          draw(plain, logits, history, position, log_sum_exp, scratch).token != expected.token ? 1 : 0;
    }
  }
  return tally;
}

TEST(TopKDraw, IsTheDrawFromTheWholeRow) {
  const Tally tally = draw_both_ways(1, 3000, [](const SamplingParams&, Best&) {});
  EXPECT_EQ(tally.different, 0U);
  EXPECT_GT(tally.equal, 14000U);
  EXPECT_GT(tally.adjusted, 1000U);
  EXPECT_GT(tally.had_no_numbers, 100U);
  EXPECT_GT(tally.whole_row, tally.had_no_numbers);
}

TEST(TopKDrawNegativeControl, TiesThatWentToTheHigherIdAreFound) {
  const Tally tally = draw_both_ways(2, 300, [](const SamplingParams&, Best& best) {
    for (size_t i = 0; i + 1 < best.ids.size(); ++i) {
      if (best.values[i] == best.values[i + 1] && best.ids[i] < best.ids[i + 1])
        std::swap(best.ids[i], best.ids[i + 1]);
    }
  });
  EXPECT_GT(tally.different, 100U);
}

TEST(TopKDrawNegativeControl, RoomForTheTopKAloneWithoutTheAdjustedTokensIsFound) {
  const Tally tally = draw_both_ways(3, 300, [](const SamplingParams& params, Best& best) {
    const size_t k = params.temperature <= 0 ? 1 : static_cast<size_t>(params.top_k);
    for (size_t i = std::max<size_t>(k, params.n_top_logprobs); i < best.ids.size(); ++i) best.ids[i] = -1;
  });
  EXPECT_GT(tally.different, 100U);
}

TEST(TopKDraw, SaysHowManyItNeeds) {
  SamplingParams p;
  EXPECT_EQ(top_k_wanted(p, 1000), 40U);
  p.presence_penalty = 0.5F;
  EXPECT_EQ(top_k_wanted(p, 10), 50U);
  EXPECT_EQ(top_k_wanted(p, 1000), 40U + 64U);
  p.logit_bias = {{3, -kInfinity}, {4, -1.0F}};
  EXPECT_EQ(top_k_wanted(p, 1000), 40U + 64U + 2U);
  p.logprobs = true;
  p.n_top_logprobs = 200;
  EXPECT_EQ(top_k_wanted(p, 1000), 200U);
  p.temperature = 0;
  p.n_top_logprobs = 0;
  EXPECT_EQ(top_k_wanted(p, 1000), 1U + 64U + 2U);
}

TEST(TopKDraw, AsksForTheWholeRowWhereTheBestCannotTell) {
  const auto wanted = [](auto change) {
    SamplingParams p;
    change(p);
    return top_k_wanted(p, 1000);
  };
  EXPECT_EQ(wanted([](auto& p) { p.top_k = 0; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.top_k = -1; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.top_k = kMaxTopK + 1; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.logit_bias = {{0, 0.5F}}; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.repeat_penalty = 0.9F; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.presence_penalty = -0.5F; }), 0U);
  EXPECT_EQ(wanted([](auto& p) { p.frequency_penalty = -0.5F; }), 0U);
  EXPECT_EQ(wanted([](auto& p) {
              p.frequency_penalty = 0.5F;
              p.penalty_last_n = -1;
            }),
            0U);
  SamplingParams all;
  all.top_k = 0;
  DrawScratch scratch;
  EXPECT_FALSE(draw_from_top_k(all, {}, {}, {}, 0, 0, scratch).has_value());
}

}  // namespace
}  // namespace headrace
