#include "ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace headrace {
namespace {

TEST(RopeFrequencies, FallGeometricallyFromOne) {
  const std::vector<float> f = rope_frequencies({.d_rotary = 64, .base = 10000.0F, .factors = {}});
  ASSERT_EQ(f.size(), 32u);
  EXPECT_EQ(f[0], 1.0F);
  for (size_t i = 0; i < f.size(); ++i) {
    const double exact = std::pow(10000.0, -2.0 * static_cast<double>(i) / 64.0);
    EXPECT_NEAR(f[i], exact, 2e-7 * exact);  // rounded to float after the power and after the division
  }
}

TEST(RopeFrequencies, AreDividedByBothKindsOfFactor) {
  const RopeSpec plain = {.d_rotary = 4, .base = 500000.0F, .factors = {}};
  RopeSpec scaled = plain;
  scaled.linear_factor = 8;
  scaled.factors = {1, 4};
  const std::vector<float> a = rope_frequencies(plain);
  const std::vector<float> b = rope_frequencies(scaled);
  EXPECT_EQ(b[0], a[0] / 8);
  EXPECT_EQ(b[1], a[1] / 32);
}

}  // namespace
}  // namespace headrace
