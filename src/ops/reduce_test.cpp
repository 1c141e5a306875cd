#include "ops/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <vector>

#include "ops/testing/random.h"

namespace headrace {
namespace {

// R0 as it is stated, top down: a perfect tree over runs of `odd` segments added in order.
float tree(std::span<const float> segments, size_t odd) {
  if (segments.size() > odd) {
    const size_t half = segments.size() / 2;
    return tree(segments.first(half), odd) + tree(segments.last(half), odd);
  }
  float sum = segments[0];
  for (const float segment : segments.subspan(1)) sum += segment;
  return sum;
}

TEST(TreeSum, AddsOddRunsInOrderAndThenAPerfectTree) {
  ops_testing::Random random(1);
  for (size_t count = 1; count <= 200; ++count) {
    size_t odd = count;
    while (odd % 2 == 0) odd /= 2;
    const std::vector<float> segments = ops_testing::random_floats(random, count, ops_testing::Values::spiky);
    TreeSum sum(count);
    for (const float segment : segments) sum.add(segment);
    ASSERT_EQ(sum.total(), tree(segments, odd)) << count;
  }
}

TEST(TreeSum, ASingleMinusZeroKeepsItsSign) {
  TreeSum sum(1);
  sum.add(-0.0F);
  EXPECT_TRUE(std::signbit(sum.total()));
}

}  // namespace
}  // namespace headrace
