// top_k: every kernel tier against the reference, and the reference against what a reader can check.
#include <algorithm>
#include <limits>

#include "ops/testing/promises.h"

namespace headrace::ops_testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint32_t kCounts[] = {1, 2, 3, 16, 40, 100, kMaxTopK};

struct Best {
  std::vector<int32_t> ids;
  std::vector<float> values;
};

Best best_of(Device& device, const std::vector<float>& x, size_t cols, uint32_t k) {
  const Mat in = device.mat(x, cols, 3);
  int32_t* ids = device.make<int32_t>(in.rows * k);
  float* values = device.make<float>(in.rows * k);
  device.ops().top_k(in, k, ids, values);
  return {device.download(ids, in.rows * k), device.download(values, in.rows * k)};
}

// One row of each kind on which a selection could stumble.
std::vector<float> rows_of_all_orders(Random& random, size_t cols) {
  std::vector<float> x;
  const auto add_row = [&](auto value) {
    for (size_t i = 0; i < cols; ++i) x.push_back(value(i));
  };
  for (size_t kind = 0; kind < kValueKinds; ++kind) {
    const std::vector<float> row = random_floats(random, cols, static_cast<Values>(kind));
    x.insert(x.end(), row.begin(), row.end());
  }
  add_row([](size_t i) { return static_cast<float>(i); });
  add_row([](size_t i) { return -static_cast<float>(i); });
  add_row([](size_t i) { return static_cast<float>(i / 5); });   // ascending with ties
  add_row([](size_t i) { return -static_cast<float>(i / 5); });  // ties at the k-th place
  for (const float all : {1.5F, -0.0F, kNan, kInfinity, -kInfinity}) add_row([&](size_t) { return all; });
  add_row([&](size_t) { return random.below(2) == 0 ? 0.0F : -0.0F; });
  add_row([&](size_t) { return static_cast<float>(random.below(3)); });
  // Fewer are worth taking than the largest k, in front, behind and anywhere; the others are bad.
  for (const float bad : {kNan, -kInfinity}) {
    add_row([&](size_t i) { return i < 30 ? random.normal() : bad; });
    add_row([&](size_t i) { return i + 30 > cols ? random.normal() : bad; });
    add_row([&](size_t) { return random.below(16) == 0 ? random.normal() : bad; });
  }
  add_row([&](size_t) {
    const uint32_t draw = random.below(8);
    return draw == 0 ? kNan : draw == 1 ? kInfinity : draw == 2 ? -kInfinity : random.normal();
  });
  return x;
}

class TopKOnEveryTier : public EveryTier {};
HEADRACE_ON_EVERY_TIER(TopKOnEveryTier);

TEST_P(TopKOnEveryTier, TopKHasTheBitsOfTheReference) {
  Random random(1);
  for (const size_t cols : {1, 7, 15, 16, 17, 63, 64, 65, 100, 127, 128, 1000, 1024, 3001}) {
    const std::vector<float> x = rows_of_all_orders(random, cols);
    for (const uint32_t k : kCounts) {
      Device truth = reference();
      const Best expected = best_of(truth, x, cols, k);
      for (const size_t threads : {1, 2}) {
        Device tested = device(threads);
        const Best found = best_of(tested, x, cols, k);
        ASSERT_TRUE(equal_bits(expected.ids, found.ids)) << cols << " columns, k " << k;
        ASSERT_TRUE(equal_bits(expected.values, found.values)) << cols << " columns, k " << k;
      }
    }
  }
}

TEST_P(TopKOnEveryTier, ARowDependsOnNothingButItself) {
  Random random(2);
  for (const size_t threads : {1, 2}) {
    for (const uint32_t k : {3U, 40U}) {
      Device tested = device(threads);
      EXPECT_TRUE(rows_stand_alone(
          [&](const std::vector<float>& x) {
            const Best best = best_of(tested, x, 300, k);
            std::vector<float> out;
            for (size_t i = 0; i < best.ids.size(); ++i) {
              out.push_back(static_cast<float>(best.ids[i]));
              out.push_back(best.values[i]);
            }
            return out;
          },
          300, random));
    }
  }
}

TEST_P(TopKOnEveryTier, TheFirstOfTheBestIsTheArgmax) {
  Random random(3);
  for (const size_t cols : {17, 300}) {
    Device tested = device();
    // -infinity and NaN alone: argmax names an index, top_k says that there is none.
    const std::vector<float> x = rows_of_all_orders(random, cols);
    const Mat in = tested.mat(x, cols);
    int32_t* largest = tested.make<int32_t>(in.rows);
    tested.ops().argmax(in, largest);
    const std::vector<int32_t> expected = tested.download(largest, in.rows);
    const Best best = best_of(tested, x, cols, 1);
    size_t compared = 0;
    for (size_t r = 0; r < in.rows; ++r) {
      if (best.ids[r] < 0) continue;
      EXPECT_EQ(best.ids[r], expected[r]) << "row " << r;
      ++compared;
    }
    EXPECT_GT(compared, 15U);
  }
}

TEST(TopKReference, IsBestFirstAndTakesTheLowerIdAmongEquals) {
  Device device(make_reference_backend());
  const Best best = best_of(device, {1, 5, kNan, 5, -kInfinity, 7, -0.0F, 0.0F}, 8, 8);
  EXPECT_EQ(best.ids, (std::vector<int32_t>{5, 1, 3, 0, 6, 7, -1, -1}));
  EXPECT_TRUE(equal_bits({7, 5, 5, 1, -0.0F, 0.0F, -kInfinity, -kInfinity}, best.values));
  EXPECT_EQ(best_of(device, {2, 2, 2, 2}, 4, 2).ids, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(best_of(device, {kNan, kNan}, 2, 1).ids, (std::vector<int32_t>{-1}));
}

// The comparison above must see a tie that went to the higher id: the values are the same then.
TEST(NegativeControl, ATopKThatPrefersTheHigherIdAmongEqualsIsFound) {
  Random random(4);
  constexpr size_t kCols = 200;
  Device device(make_reference_backend());
  std::vector<float> x(kCols);
  for (float& value : x) value = static_cast<float>(random.below(20));
  const Best right = best_of(device, x, kCols, 40);
  std::reverse(x.begin(), x.end());
  Best wrong = best_of(device, x, kCols, 40);
  for (int32_t& id : wrong.ids) id = static_cast<int32_t>(kCols) - 1 - id;
  EXPECT_TRUE(equal_bits(right.values, wrong.values));
  EXPECT_FALSE(equal_bits(right.ids, wrong.ids));
}

TEST(TopKDeathTest, AnImpossibleKAborts) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Device device(make_reference_backend());
  const Mat x = device.mat(2, 64);
  EXPECT_DEATH(device.ops().top_k(x, 0, nullptr, nullptr), "top_k: k: expected 1 to 256, found 0");
  EXPECT_DEATH(device.ops().top_k(x, kMaxTopK + 1, nullptr, nullptr), "expected 1 to 256, found 257");
}

}  // namespace
}  // namespace headrace::ops_testing
