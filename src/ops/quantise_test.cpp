#include "ops/quantise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/testing/promises.h"

namespace headrace::ops_testing {
namespace {

TEST(QuantiseGroup, RoundsHalfToEvenWithinPlusMinus127) {
  // The largest is 127, so a step is one.
  const std::vector<float> x = {127, -127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 126.5F, 0.49999F, -126.4F};
  std::vector<int8_t> q(x.size());
  EXPECT_EQ(quantise_group(x.data(), x.size(), q.data()), 1.0F);
  EXPECT_EQ(q, (std::vector<int8_t>{127, -127, 0, 2, 2, 0, -2, 126, 0, -126}));
}

TEST(QuantiseGroup, TheErrorIsAtMostHalfAStep) {
  Random random(1);
  for (const Values kind : {Values::normal, Values::spiky, Values::huge}) {
    const std::vector<float> x = random_floats(random, 256, kind);
    std::vector<int8_t> q(x.size());
    const float scale = quantise_group(x.data(), x.size(), q.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(static_cast<float>(q[i]) * scale, x[i], 0.50001F * scale);
      ASSERT_GE(q[i], -127);
    }
  }
}

TEST(QuantiseGroup, GroupsTooSmallToDivideByAreZero) {
  for (const float tiny : {0.0F, -0.0F, 1e-45F, std::nextafter(kSmallestGroup, 0.0F)}) {
    const std::vector<float> x(32, tiny);
    std::vector<int8_t> q(32, 1);
    EXPECT_EQ(quantise_group(x.data(), 32, q.data()), 0.0F);
    EXPECT_EQ(q, std::vector<int8_t>(32, 0));
  }
  const std::vector<float> x(32, kSmallestGroup);
  std::vector<int8_t> q(32);
  EXPECT_GT(quantise_group(x.data(), 32, q.data()), 0.0F);
  EXPECT_EQ(q, std::vector<int8_t>(32, 127));
}

TEST(QuantiseGroup, AnInfinityOrNanMakesTheScaleNan) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> x(32, 1.0F);
    x[9] = bad;
    std::vector<int8_t> q(32, 1);
    EXPECT_TRUE(std::isnan(quantise_group(x.data(), 32, q.data())));
    EXPECT_EQ(q, std::vector<int8_t>(32, 0));
  }
}

using QuantiseOnEveryTier = EveryTier;
HEADRACE_ON_EVERY_TIER(QuantiseOnEveryTier);

TEST_P(QuantiseOnEveryTier, RowsAreQuantisedGroupByGroupAsTheDefinitionSays) {
  Random random(2);
  const cpu::KernelTable& kernels = *cpu::kernel_table(GetParam());
  for (const size_t group : {32, 256}) {
    for (size_t draw = 0; draw < 200; ++draw) {
      const size_t k = group * random.between(1, 4);
      std::vector<float> x = random_floats(random, k, static_cast<Values>(draw % kValueKinds));
      if (draw % 9 == 0) x[random.below(static_cast<uint32_t>(k))] = -std::nanf("");
      if (draw % 5 == 0) {  // values halfway between steps
        for (float& v : x) v = 0.5F * static_cast<float>(random.between(0, 508)) - 127.0F;
      }
      std::vector<int8_t> expected(k);
      std::vector<float> expected_scales;
      std::vector<int16_t> expected_sums(k / 16);
      for (size_t i = 0; i < k; i += group)
        expected_scales.push_back(quantise_group(x.data() + i, group, expected.data() + i));
      for (size_t i = 0; i < k; ++i)
        expected_sums[i / 16] = static_cast<int16_t>(expected_sums[i / 16] + expected[i]);
      // One row of a tile, whose other rows stay as they are.
      const size_t width = random.between(1, 5);
      const size_t row = random.below(static_cast<uint32_t>(width));
      std::vector<int8_t> tile(width * cpu::quants_of_row(k), 101);
      std::vector<float> tile_scales(width * (k / group), -1);
      std::vector<int16_t> tile_sums_16(group == 32 ? 0 : width * (k / 16), 9999);
      std::vector<int16_t> tile_sums_32(group == 32 ? 0 : width * (k / 32), 9999);
      std::vector<float> tile_float_sums_32(group == 32 ? width * (k / 32) : 0, -9999);
      kernels.quantise_row(x.data(), k, group,
                           {.quants = tile.data(),
                            .scales = tile_scales.data(),
                            .sums_16 = tile_sums_16.data(),
                            .sums_32 = tile_sums_32.data(),
                            .float_sums_32 = tile_float_sums_32.data()},
                           width, row);
      std::vector<int8_t> quants;
      std::vector<int16_t> sums;
      std::vector<float> scales;
      for (size_t r = 0; r < width; ++r) {
        for (size_t b = 0; b < k; ++b) {
          const int8_t quant = tile[(b / 64 * width + r) * 64 + b % 64];
          if (r == row)
            quants.push_back(quant);
          else
            ASSERT_EQ(quant, 101);
        }
        for (size_t g = 0; r == row && g < k / 32; ++g) {
          const size_t at = g * width + r;
          const int sum = expected_sums[2 * g] + expected_sums[2 * g + 1];
          if (group == 32) {
            ASSERT_EQ(tile_float_sums_32[at], static_cast<float>(sum)) << g;
            continue;
          }
          sums.insert(sums.end(), {tile_sums_16[2 * at], tile_sums_16[2 * at + 1]});
          ASSERT_EQ(tile_sums_32[2 * (g / 2 * width + r) + g % 2], sum) << g;
        }
        for (size_t g = 0; r == row && g < k / group; ++g) scales.push_back(tile_scales[g * width + r]);
      }
      ASSERT_EQ(std::ranges::count(tile_scales, -1.0F), (width - 1) * (k / group));
      ASSERT_EQ(std::ranges::count(tile_sums_16, 9999), group == 32 ? 0 : (width - 1) * (k / 16));
      ASSERT_EQ(std::ranges::count(tile_sums_32, 9999), group == 32 ? 0 : (width - 1) * (k / 32));
      ASSERT_EQ(std::ranges::count(tile_float_sums_32, -9999.0F), group == 32 ? (width - 1) * (k / 32) : 0);
      ASSERT_EQ(quants, expected);
      if (group != 32) {
        ASSERT_EQ(sums, expected_sums);
      }
      ASSERT_TRUE(equal_bits(expected_scales, scales));
    }
  }
}

}  // namespace
}  // namespace headrace::ops_testing
