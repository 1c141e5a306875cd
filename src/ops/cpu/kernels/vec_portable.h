// Sixteen lanes in plain C++: what the other tiers' registers must compute, lane by lane. On a processor
// without FMA the compiler's fused multiply-add is the C library's fmaf, which is exact everywhere.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

struct V16 {
  float v[16];
};
struct I16 {
  int32_t v[16];
};

template <typename F>
static inline V16 lanes(F f) {
  V16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
template <typename F>
static inline I16 int_lanes(F f) {
  I16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}

static inline V16 load(const float* p) {
  return lanes([&](int i) { return p[i]; });
}
// The first n lanes; the others are zero.
static inline V16 load_n(const float* p, size_t n) {
  return lanes([&](int i) { return static_cast<size_t>(i) < n ? p[i] : 0.0F; });
}
static inline void store(float* p, V16 a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
static inline void store_n(float* p, V16 a, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] = a.v[i];
}
static inline V16 set1(float x) {
  return lanes([&](int) { return x; });
}
static inline V16 add(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] + b.v[i]; });
}
static inline V16 sub(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] - b.v[i]; });
}
static inline V16 mul(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] * b.v[i]; });
}
static inline V16 div(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] / b.v[i]; });
}
static inline V16 fma(V16 a, V16 b, V16 c) {
  return lanes([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
// Where either is NaN, the second: as maxps and minps do.
static inline V16 max(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
static inline V16 min(V16 a, V16 b) {
  return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
// `value`, but +0 where x < bound.
static inline V16 zero_where_less(V16 x, V16 bound, V16 value) {
  return lanes([&](int i) { return x.v[i] < bound.v[i] ? 0.0F : value.v[i]; });
}
// Bit i is set where lane i of `a` is the greater; never where either is NaN.
static inline uint32_t greater_bits(V16 a, V16 b) {
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) bits |= static_cast<uint32_t>(a.v[i] > b.v[i]) << i;
  return bits;
}
// Lane i of `a` where bit i is set, `otherwise` elsewhere.
static inline V16 keep_bits(V16 a, uint32_t bits, float otherwise) {
  return lanes([&](int i) { return (bits >> i & 1) != 0 ? a.v[i] : otherwise; });
}
// 2^n, for lanes that hold n + 1.5 * 2^23.
static inline V16 power_of_two(V16 shifted) {
  return lanes([&](int i) {
    uint32_t bits;
    __builtin_memcpy(&bits, &shifted.v[i], 4);
    bits = (bits + 127U) << 23;
    float power;
    __builtin_memcpy(&power, &bits, 4);
    return power;
  });
}
// Sum of the lanes by halves: i and i+8, then i and i+4, 2, 1.
static inline float fold_add(V16 a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] + a.v[i + width];
  }
  return a.v[0];
}
static inline float fold_max(V16 a) {
  float largest = a.v[0];
  for (int i = 1; i < 16; ++i) largest = largest > a.v[i] ? largest : a.v[i];
  return largest;
}

static inline float bits_to_float(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
static inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}
// tensor/half.h's conversions, repeated: kernels share no function across tiers.
static inline float one_half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1F;
  uint32_t mantissa = half & 0x3FF;
  if (exponent == 31) {
    if (mantissa != 0) mantissa |= 0x200;
    return bits_to_float(sign | 0x7F800000 | mantissa << 13);
  }
  if (exponent != 0) return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
  return bits_to_float(sign | float_to_bits(static_cast<float>(mantissa) * 0x1p-24F));
}
static inline uint16_t one_float_to_half(float value) {
  const uint32_t bits = float_to_bits(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
  if (magnitude < 0x38800000) {
    return static_cast<uint16_t>(sign | (float_to_bits(bits_to_float(magnitude) + 0.5F) - 0x3F000000));
  }
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
}
static inline V16 load_f16(const uint16_t* p) {
  return lanes([&](int i) { return one_half_to_float(p[i]); });
}
static inline V16 load_bf16(const uint16_t* p) {
  return lanes([&](int i) { return bits_to_float(static_cast<uint32_t>(p[i]) << 16); });
}
// Two neighbours of each output, [16][2].
static inline void load_bf16_pairs(const uint16_t* p, V16& even, V16& odd) {
  even = lanes([&](int i) { return bits_to_float(static_cast<uint32_t>(p[2 * i]) << 16); });
  odd = lanes([&](int i) { return bits_to_float(static_cast<uint32_t>(p[2 * i + 1]) << 16); });
}
static inline float root(float x) {
  return __builtin_sqrtf(x);
}

static inline I16 int_set1(int32_t x) {
  return int_lanes([&](int) { return x; });
}
static inline I16 int_add(I16 a, I16 b) {
  return int_lanes([&](int i) { return a.v[i] + b.v[i]; });
}
static inline I16 int_sub(I16 a, I16 b) {
  return int_lanes([&](int i) { return a.v[i] - b.v[i]; });
}
static inline I16 int_mul(I16 a, I16 b) {
  return int_lanes([&](int i) { return a.v[i] * b.v[i]; });
}
static inline V16 to_float(I16 a) {
  return lanes([&](int i) { return static_cast<float>(a.v[i]); });
}
static inline I16 load_u8(const uint8_t* p) {
  return int_lanes([&](int i) { return static_cast<int32_t>(p[i]); });
}
static inline I16 load_s8(const int8_t* p) {
  return int_lanes([&](int i) { return static_cast<int32_t>(p[i]); });
}

static inline I16 magnitude_bits(const float* p) {
  return int_lanes([&](int i) { return static_cast<int32_t>(float_to_bits(p[i]) & 0x7FFFFFFF); });
}
static inline I16 int_max(I16 a, I16 b) {
  return int_lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
static inline int32_t int_fold_max(I16 a) {
  int32_t largest = a.v[0];
  for (int i = 1; i < 16; ++i) largest = largest > a.v[i] ? largest : a.v[i];
  return largest;
}
static inline int32_t int_fold_add(I16 a) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += a.v[i];
  return sum;
}
// To nearest, ties to even; |a| <= 127 here.
static inline I16 round_to_int(V16 a) {
  return int_lanes([&](int i) { return static_cast<int32_t>((a.v[i] + 0x1.8p23F) - 0x1.8p23F); });
}
static inline void store_s8(int8_t* p, I16 a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(a.v[i]);
}

// Four inputs of sixteen outputs, "quad" j of a group of 32 (panel.h): byte 4 n + i is input i of output n.
struct Quad {
  uint8_t b[64];
};
// What quad_of_bytes() adds to signed weights.
constexpr int32_t kSignedOffset = 0;

static inline Quad quad_of_nibbles(const uint8_t* p, int j) {
  Quad w;
  for (int i = 0; i < 64; ++i) w.b[i] = static_cast<uint8_t>(p[64 * (j % 4) + i] >> (j < 4 ? 0 : 4) & 15);
  return w;
}
// Bit j of byte b of `high` becomes bit 4 of byte b.
static inline Quad with_fifth_bits(Quad w, const uint8_t* high, int j) {
  for (int b = 0; b < 64; ++b) w.b[b] |= static_cast<uint8_t>((high[b] >> j & 1) << 4);
  return w;
}
// Bits 2(j%4) .. of byte b of vector j/4 become bits 4 and 5 of byte b.
static inline Quad with_sixth_bits(Quad w, const uint8_t* high, int j) {
  for (int b = 0; b < 64; ++b) {
    w.b[b] |= static_cast<uint8_t>((high[64 * (j / 4) + b] >> (2 * (j % 4)) & 3) << 4);
  }
  return w;
}
static inline Quad quad_of_bytes(const uint8_t* p, int j) {
  Quad w;
  __builtin_memcpy(w.b, p + 64 * j, 64);
  return w;
}
// Input i of each output: as stored unsigned, and as the signed byte that quad_of_bytes() read.
static inline I16 input_of(const Quad& w, int i) {
  return int_lanes([&](int n) { return static_cast<int32_t>(w.b[4 * n + i]); });
}
static inline I16 signed_input_of(const Quad& w, int i) {
  return int_lanes([&](int n) { return static_cast<int32_t>(static_cast<int8_t>(w.b[4 * n + i])); });
}

template <typename Byte>
static inline I16 dot_bytes(I16 acc, const Quad& w, const int8_t* a) {
  for (int n = 0; n < 16; ++n) {
    int32_t products = 0;
    for (int i = 0; i < 4; ++i) products += static_cast<Byte>(w.b[4 * n + i]) * a[i];
    acc.v[n] += products;
  }
  return acc;
}
// acc + the products of a quad with four activations.
static inline I16 dot(I16 acc, const Quad& w, const int8_t* a) {
  return dot_bytes<uint8_t>(acc, w, a);
}
static inline I16 dot_signed(I16 acc, const Quad& w, const int8_t* a) {
  return dot_bytes<int8_t>(acc, w, a);
}
// Two 16-bit numbers a lane, low and high, and acc + their products with a[0] and a[1].
static inline I16 pair_16(I16 low, I16 high) {
  return int_lanes([&](int i) {
    return static_cast<int32_t>((static_cast<uint32_t>(low.v[i]) & 0xFFFF) | static_cast<uint32_t>(high.v[i])
                                                                                 << 16);
  });
}
static inline I16 dot_pair(I16 acc, I16 w, const int16_t* a) {
  return int_lanes(
      [&](int i) { return acc.v[i] + static_cast<int16_t>(w.v[i] & 0xFFFF) * a[0] + (w.v[i] >> 16) * a[1]; });
}
static inline I16 shift_left(I16 a, int bits) {
  return int_lanes([&](int i) { return a.v[i] * (1 << bits); });
}

constexpr int kFloatTile = 4;
constexpr int kQueryTile = 1;
// Vectors of keys or values that stay in registers beside the sums of so many queries.
static constexpr int vectors_beside(int) {
  return 4;
}

}  // namespace headrace::cpu::HEADRACE_TIER

#include "ops/cpu/kernels/whole_sums.h"
