// Tests that never fail prove nothing: wrong variants, each off by no more than rounding, which the helpers
// of the other tests must tell from the right ones.
#include <cmath>
#include <numeric>

#include "ops/elementary.h"
#include "ops/quantise.h"
#include "ops/reduce.h"
#include "ops/testing/attention.h"
#include "ops/testing/promises.h"

namespace headrace::ops_testing {
namespace {

constexpr uint32_t kInputs = 576;
constexpr uint32_t kOutputs = 8;

std::vector<float> right_linear(const std::vector<std::byte>& weights, const std::vector<float>& x) {
  Device device(make_reference_backend());
  const Mat in = device.mat(x, kInputs);
  const Mat out = device.mat(in.rows, kOutputs);
  const Linear linear = {
      .weight = device.weight(DType::F32, kOutputs, kInputs, weights), .bias = {}, .split = Split::none};
  device.ops().linear(in, {{&linear, out}});
  return device.read(out);
}

// Segments of `segment` inputs, added in R0's tree or one after another.
float dot(const float* w, const float* x, size_t segment, bool tree) {
  TreeSum sum((kInputs + segment - 1) / segment);
  float in_order = 0;
  for (size_t begin = 0; begin < kInputs; begin += segment) {
    float acc = 0;
    for (size_t i = begin; i < std::min<size_t>(begin + segment, kInputs); ++i)
      acc = std::fmaf(w[i], x[i], acc);
    sum.add(acc);
    in_order += acc;
  }
  return tree ? sum.total() : in_order;
}

std::vector<float> linear_by(size_t segment, bool tree, const std::vector<std::byte>& weights,
                             const std::vector<float>& x) {
  const float* w = reinterpret_cast<const float*>(weights.data());
  std::vector<float> y;
  for (size_t r = 0; r < x.size() / kInputs; ++r) {
    for (size_t n = 0; n < kOutputs; ++n)
      y.push_back(dot(w + n * kInputs, x.data() + r * kInputs, segment, tree));
  }
  return y;
}

TEST(NegativeControl, ALinearSummedInAnotherOrderIsFound) {
  Random random(1);
  const std::vector<std::byte> weights = random_weights(random, DType::F32, kOutputs, kInputs);
  const std::vector<float> x = random_floats(random, 4 * kInputs);
  const std::vector<float> right = right_linear(weights, x);
  EXPECT_TRUE(equal_bits(right, linear_by(64, true, weights, x)));
  EXPECT_FALSE(equal_bits(right, linear_by(kInputs, true, weights, x)));  // one chain
  EXPECT_FALSE(equal_bits(right, linear_by(32, true, weights, x)));
  EXPECT_FALSE(equal_bits(right, linear_by(128, true, weights, x)));
  const std::vector<float> wrong = linear_by(32, false, weights, x);  // another tree over the segments
  EXPECT_FALSE(equal_bits(linear_by(32, true, weights, x), wrong));
  for (size_t i = 0; i < right.size(); ++i) EXPECT_NEAR(right[i], wrong[i], 1e-4);
}

TEST(NegativeControl, ALinearWhoseOrderFollowsTheBatchIsFound) {
  Random random(2);
  const std::vector<std::byte> weights = random_weights(random, DType::F32, kOutputs, kInputs);
  EXPECT_TRUE(rows_stand_alone([&](const std::vector<float>& x) { return linear_by(64, true, weights, x); },
                               kInputs, random));
  EXPECT_FALSE(rows_stand_alone(
      [&](const std::vector<float>& x) {
        return linear_by(x.size() > 16 * kInputs ? 128 : 64, true, weights, x);
      },
      kInputs, random));
}

TEST(NegativeControl, AScaleSharedByTheBatchIsFound) {
  Random random(3);
  EXPECT_FALSE(rows_stand_alone(
      [&](const std::vector<float>& x) {
        std::vector<int8_t> q(x.size());
        const float scale = quantise_group(x.data(), x.size(), q.data());
        std::vector<float> y(x.size());
        for (size_t i = 0; i < x.size(); ++i) y[i] = scale * static_cast<float>(q[i]);
        return y;
      },
      64, random));
}

TEST(NegativeControl, ARowThatFollowsItsPlaceInTheBatchIsFound) {
  Random random(4);
  EXPECT_FALSE(rows_stand_alone(
      [&](const std::vector<float>& x) {
        std::vector<float> y = x;
        // The last row goes through a tail with another rounding.
        for (size_t i = y.size() - 32; i < y.size(); ++i) y[i] = y.size() > 32 ? y[i] * 3.0F / 3.0F : y[i];
        return y;
      },
      32, random));
}

// Blocks and splits that follow the slots in which keys lie are those of the right rule with other positions.
TEST(NegativeControl, AttentionMergedBySlotInsteadOfPositionIsFound) {
  Random random(5);
  const AttentionShape shape;
  for (const uint32_t n : {200U, 1100U}) {
    const std::vector<float> keys = random_floats(random, size_t{n} * 64);
    const std::vector<float> values = random_floats(random, size_t{n} * 64);
    const std::vector<float> query = random_floats(random, 64);
    const auto result_at = [&](uint32_t first) {
      Device device(make_reference_backend());
      const Layout layout = chain_layout(first, n, 64);
      const std::vector<Visible> rows = {{first, first + n}};
      return attend(device, shape, make_cache(device, shape, layout, keys, values),
                    whole_plan(layout, rows, 1), query);
    };
    EXPECT_TRUE(equal_bits(result_at(0), result_at(4096)));  // the same boundaries
    EXPECT_FALSE(equal_bits(result_at(0), result_at(17)));   // other blocks
    if (n > kSplitPositions) {
      EXPECT_FALSE(equal_bits(result_at(0), result_at(64)));  // other splits
    }
  }
}

TEST(NegativeControl, MinusZeroIsNotPlusZeroAndAMissingValueIsFound) {
  EXPECT_FALSE(equal_bits<float>({0.0F}, {-0.0F}));
  EXPECT_FALSE(equal_bits<float>({1.0F}, {std::nextafter(1.0F, 2.0F)}));
  EXPECT_FALSE(equal_bits<float>({1.0F}, {std::nanf("")}));
  EXPECT_FALSE(equal_bits<float>({1.0F, 2.0F}, {1.0F}));
  EXPECT_TRUE(equal_bits<float>({std::nanf("1")}, {-std::nanf("2")}));
}

TEST(NegativeControlDeathTest, AnOpThatWritesBesideItsOutputIsFound) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Device device(make_reference_backend());
  const Mat x = device.mat(std::vector<float>(16, 1.0F), 16);
  x.row(0)[16] = 1.0F;
  EXPECT_DEATH(device.read(x), "outside its output");
}

}  // namespace
}  // namespace headrace::ops_testing
