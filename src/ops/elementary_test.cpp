#include "ops/elementary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace headrace {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double relative_error(double found, long double exact) {
  return static_cast<double>(std::abs((found - exact) / exact));
}

// One float in a thousand of those in [-87, 88] whose magnitude is above 2^-63.
TEST(Elementary, ExpInFloatIsWithinItsBound) {
  double worst = 0;
  for (const uint32_t sign : {0U, 0x80000000U}) {
    for (uint32_t bits = 0x20000000; bits < 0x42B00000; bits += 1009) {
      const float x = std::bit_cast<float>(bits | sign);
      if (x < -87.0F) break;
      worst = std::max(worst, std::abs(double{exp_f32(x)} / std::exp(double{x}) - 1));
    }
  }
  EXPECT_LT(worst, 2e-7);
}

TEST(Elementary, ExpInFloatAtItsEnds) {
  EXPECT_EQ(exp_f32(0.0F), 1.0F);  // a maximum's own weight is exactly one
  EXPECT_EQ(exp_f32(-0.0F), 1.0F);
  EXPECT_EQ(exp_f32(1e-40F), 1.0F);
  EXPECT_GT(exp_f32(-87.0F), std::numeric_limits<float>::min());
  EXPECT_EQ(exp_f32(std::nextafter(-87.0F, -100.0F)), 0.0F);
  EXPECT_EQ(exp_f32(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_EQ(exp_f32(std::numeric_limits<float>::infinity()), exp_f32(88.0F));
  EXPECT_TRUE(std::isfinite(exp_f32(1000.0F)));
  EXPECT_TRUE(std::isnan(exp_f32(std::nanf(""))));
}

TEST(Elementary, ActivationsAtTheirEnds) {
  EXPECT_EQ(silu_f32(0.0F), 0.0F);
  EXPECT_EQ(silu_f32(100.0F), 100.0F);
  EXPECT_EQ(silu_f32(1e30F), 1e30F);
  EXPECT_EQ(gelu_tanh_f32(1e30F), 1e30F);
  EXPECT_NEAR(silu_f32(-1e4F), 0.0F, 1e-30);
  EXPECT_NEAR(gelu_tanh_f32(-1e4F), 0.0F, 1e-30);
  EXPECT_TRUE(std::isnan(silu_f32(std::nanf(""))));
}

TEST(Elementary, ExpInDoubleIsWithinItsBound) {
  double worst = 0;
  for (double x = -104; x < 89; x += 0.000917)
    worst = std::max(worst, relative_error(exp_f64(x), std::exp(static_cast<long double>(x))));
  EXPECT_LT(worst, 1e-15);
  EXPECT_EQ(exp_f64(0), 1);
  EXPECT_EQ(exp_f64(710), kInfinity);
  EXPECT_EQ(exp_f64(-kInfinity), 0);
  EXPECT_TRUE(std::isnan(exp_f64(std::nan(""))));
}

TEST(Elementary, LogInDoubleIsWithinItsBound) {
  double worst = 0;
  for (double x = 1e-38; x < 1e38; x *= 1.00017) {
    const long double exact = std::log(static_cast<long double>(x));
    worst = std::max(worst, relative_error(log_f64(x), exact));
  }
  for (double x = 0.99; x < 1.01; x += 1.7e-7) {
    worst = std::max(worst, relative_error(log_f64(x), std::log(static_cast<long double>(x))));
  }
  EXPECT_LT(worst, 1e-15);
  EXPECT_EQ(log_f64(1), 0);
  EXPECT_EQ(log_f64(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_f64(std::nan(""))));
}

TEST(Elementary, PowInDoubleIsWithinItsBound) {
  double worst = 0;
  for (const double base : {0.5, 2.0, 10000.0, 500000.0, 1e6, 1e7}) {
    for (double exponent = -1; exponent <= 1; exponent += 0.00113) {
      worst = std::max(worst,
                       relative_error(pow_f64(base, exponent), std::pow(static_cast<long double>(base),
                                                                        static_cast<long double>(exponent))));
    }
  }
  EXPECT_LT(worst, 5e-15);
}

double worst_sincos(double limit) {
  double worst = 0;
  for (double x = -limit; x < limit; x += limit / 100000.7) {
    const SinCos found = sincos_f64(x);
    worst = std::max(worst, static_cast<double>(std::abs(found.sin - std::sin(static_cast<long double>(x)))));
    worst = std::max(worst, static_cast<double>(std::abs(found.cos - std::cos(static_cast<long double>(x)))));
  }
  return worst;
}

TEST(Elementary, SineAndCosineAreWithinTheirBounds) {
  EXPECT_LT(worst_sincos(10), 3e-16);
  EXPECT_LT(worst_sincos(0x1p22), 1e-15);
  EXPECT_LT(worst_sincos(0x1p26), 1e-8);
  EXPECT_EQ(sincos_f64(0).sin, 0);
  EXPECT_EQ(sincos_f64(0).cos, 1);
}

}  // namespace
}  // namespace headrace
