#include "tensor/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace headrace {
namespace {

// A 16-bit format by its definition: every finite value is mantissa * 2^exponent.
struct Format {
  int mantissa_bits;
  int min_exponent;  // of the smallest normal number
  int max_exponent;  // of the largest
};
constexpr Format kHalf = {10, -14, 15};
constexpr Format kBf16 = {7, -126, 127};

// The value of non-negative finite bits, or infinity.
double value_of(uint32_t bits, const Format& format) {
  const int exponent = static_cast<int>(bits >> format.mantissa_bits);
  const int mantissa = static_cast<int>(bits & ((1u << format.mantissa_bits) - 1));
  const int bias = 1 - format.min_exponent;
  if (exponent > format.max_exponent + bias) return std::numeric_limits<double>::infinity();
  if (exponent == 0) return std::ldexp(mantissa, format.min_exponent - format.mantissa_bits);
  return std::ldexp(mantissa + (1 << format.mantissa_bits), exponent - bias - format.mantissa_bits);
}

// `value` rounded to nearest, ties to even, by the rounding of double to integer.
double rounded(double value, const Format& format) {
  if (std::isinf(value) || value == 0) return value;
  const int exponent = std::max(std::ilogb(value), format.min_exponent);
  const double step = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double result = std::nearbyint(value / step) * step;
  const double limit = std::ldexp(1.0, format.max_exponent + 1);
  return std::fabs(result) >= limit ? std::copysign(std::numeric_limits<double>::infinity(), value) : result;
}

bool is_nan(uint16_t bits, const Format& format) {
  const uint32_t exponents = 0x7FFFu >> format.mantissa_bits << format.mantissa_bits;
  return (bits & 0x7FFF) > exponents;
}

template <typename Decode, typename Encode>
void expect_every_value_round_trips(const Format& format, Decode decode, Encode encode) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = decode(bits);
    if (is_nan(bits, format)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(is_nan(encode(value), format)) << bits;
      ASSERT_EQ(encode(value) & 0x8000, bits & 0x8000);
      continue;
    }
    ASSERT_EQ(std::fabs(double{value}), value_of(bits & 0x7FFF, format)) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(encode(value), bits);
  }
}

template <typename Decode, typename Encode>
void expect_rounded_to_nearest_even(float value, const Format& format, Decode decode, Encode encode) {
  const float stored = decode(encode(value));
  ASSERT_EQ(double{stored}, rounded(double{value}, format)) << std::hexfloat << value;
  ASSERT_EQ(std::signbit(stored), std::signbit(value)) << std::hexfloat << value;
}

// Each middle between two neighbours, and the floats next to it: where rounding goes wrong if it does.
template <typename Decode, typename Encode>
void expect_middles_and_their_neighbours_round_right(const Format& format, Decode decode, Encode encode) {
  for (uint32_t i = 0; value_of(i, format) < std::numeric_limits<double>::infinity(); ++i) {
    const double above = std::isinf(value_of(i + 1, format)) ? std::ldexp(1.0, format.max_exponent + 1)
                                                             : value_of(i + 1, format);
    const double exact_middle = (value_of(i, format) + above) / 2;
    const auto middle = static_cast<float>(exact_middle);
    ASSERT_EQ(double{middle}, exact_middle);
    for (const float value : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)}) {
      expect_rounded_to_nearest_even(value, format, decode, encode);
      expect_rounded_to_nearest_even(-value, format, decode, encode);
    }
  }
}

template <typename Decode, typename Encode>
void expect_any_float_rounds_right(const Format& format, Decode decode, Encode encode) {
  std::mt19937 random(11);
  for (int i = 0; i < 500000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isnan(value)) {
      ASSERT_TRUE(is_nan(encode(value), format));
    } else {
      expect_rounded_to_nearest_even(value, format, decode, encode);
    }
  }
}

TEST(Half, EachOf65536ValuesRoundTrips) {
  expect_every_value_round_trips(kHalf, f16_to_f32, f32_to_f16);
}

TEST(Half, MiddlesRoundToEvenAndTheirNeighboursToTheNearest) {
  expect_middles_and_their_neighbours_round_right(kHalf, f16_to_f32, f32_to_f16);
}

TEST(Half, AnyFloatRoundsToTheNearest) {
  expect_any_float_rounds_right(kHalf, f16_to_f32, f32_to_f16);
}

TEST(Half, KnownBits) {
  EXPECT_EQ(f32_to_f16(1.0f), 0x3C00);
  EXPECT_EQ(f32_to_f16(-2.0f), 0xC000);
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(0x1p-24f), 0x0001);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xFC00);
}

TEST(Half, NansBecomeQuietAndKeepTheirSign) {
  EXPECT_EQ(std::bit_cast<uint32_t>(f16_to_f32(0xFC01)), 0xFFC02000u);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7F800001u)), 0x7E00);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xFFFFFFFFu)), 0xFFFF);
}

TEST(Bf16, EachOf65536ValuesRoundTrips) {
  expect_every_value_round_trips(kBf16, bf16_to_f32, f32_to_bf16);
}

TEST(Bf16, MiddlesRoundToEvenAndTheirNeighboursToTheNearest) {
  expect_middles_and_their_neighbours_round_right(kBf16, bf16_to_f32, f32_to_bf16);
}

TEST(Bf16, AnyFloatRoundsToTheNearest) {
  expect_any_float_rounds_right(kBf16, bf16_to_f32, f32_to_bf16);
}

TEST(Bf16, KnownBits) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(f32_to_bf16(0x1p-133f), 0x0001);  // subnormals are kept
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F800001u)), 0x7FC0);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0xFFFFFFFFu)), 0xFFFF);
}

}  // namespace
}  // namespace headrace
