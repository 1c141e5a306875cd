#include "ops/elementary.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace headrace {
namespace {

// Adding and subtracting 1.5 * 2^52 (2^23 in float) rounds to the nearest integer, ties to even.
constexpr double kRound64 = 0x1.8p52;

double power_of_two(int64_t n) {
  return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

}  // namespace

// The kernels' lanes (ops/cpu/kernels/elementary.h) repeat these steps one for one.
float exp_f32(float x) {
  if (x < -87.0F) return 0.0F;
  const float clamped = 88.0F < x ? 88.0F : x;
  const float shifted = std::fmaf(clamped, 0x1.715476p+0F, 0x1.8p23F);
  const float n = shifted - 0x1.8p23F;
  float r = std::fmaf(n, -0x1.63p-1F, clamped);  // ln 2 in two parts, the first exact times n
  r = std::fmaf(n, 0x1.bd0106p-13F, r);
  float p = 0x1.a0d2cep-13F;
  p = std::fmaf(p, r, 0x1.6e879cp-10F);
  p = std::fmaf(p, r, 0x1.11121p-7F);
  p = std::fmaf(p, r, 0x1.555382p-5F);
  p = std::fmaf(p, r, 0x1.555554p-3F);
  p = std::fmaf(p, r, 0x1p-1F);
  p = std::fmaf(p, r * r, r) + 1.0F;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127U) << 23;
  return p * std::bit_cast<float>(exponent);
}

float silu_f32(float x) {
  return x / (1.0F + exp_f32(-x));
}

float gelu_tanh_f32(float x) {
  const float cubic = (x * x) * x;
  const float u2 = 1.59576912160573F * std::fmaf(cubic, 0.044715F, x);  // 2 sqrt(2/pi) (...)
  return x / (1.0F + exp_f32(-u2));
}

double exp_f64(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  if (x < -708.0) return 0.0;
  const double n = (x * 0x1.71547652b82fep+0 + kRound64) - kRound64;
  const double r = (x - n * 0x1.62e42fefa0000p-1) - n * 0x1.cf79abc9e3b3ap-40;
  // Taylor series of e^r on |r| <= ln(2)/2: the term r^14/14! is below 5e-18.
  double p = 1.0 / 6227020800.0;
  for (const double factorial : {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0,
                                 24.0, 6.0, 2.0, 1.0, 1.0}) {
    p = p * r + 1.0 / factorial;
  }
  return p * power_of_two(static_cast<int64_t>(n));
}

double log_f64(double x) {
  if (!(x < std::numeric_limits<double>::infinity())) return x;
  uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);  // [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // log m = 2 atanh(s), s = (m-1)/(m+1), |s| < 0.172: s^2 < 0.0295, 12 terms reach 1e-19.
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double p = 0.0;
  for (int odd = 25; odd >= 3; odd -= 2) p = (p + 1.0 / odd) * z;
  const double e = static_cast<double>(exponent);
  return e * 0x1.62e42fefa0000p-1 + (2.0 * s + (2.0 * s * p + e * 0x1.cf79abc9e3b3ap-40));
}

double pow_f64(double base, double exponent) {
  return exp_f64(exponent * log_f64(base));
}

SinCos sincos_f64(double x) {
  // pi/2 in three parts of 33, 33 and 53 bits: n * part is exact for n < 2^20, and the rest of the third part
  // is below 1e-30 (constants as in fdlibm).
  const double n = (x * 0x1.45f306dc9c883p-1 + kRound64) - kRound64;
  double r = x - n * 0x1.921fb544p+0;
  r = r - n * 0x1.0b4611a6p-34;
  r = r - n * 0x1.3198a2e037073p-69;
  const double z = r * r;
  // Taylor series on |r| <= pi/4: the first dropped terms are below 2e-18.
  double s = -1.0 / 121645100408832000.0;
  for (const double c : {1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0,
                         -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0}) {
    s = s * z + c;
  }
  const double sine = r + r * z * s;
  double c = 1.0 / 20922789888000.0;
  for (const double d :
       {-1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0}) {
    c = c * z + d;
  }
  const double cosine = 1.0 - (0.5 * z - z * z * c);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace headrace
