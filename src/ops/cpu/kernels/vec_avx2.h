// Sixteen lanes in two AVX2 registers. See vec_portable.h for what each operation means.
#pragma once

#include <immintrin.h>

namespace headrace::cpu::HEADRACE_TIER {

struct V16 {
  __m256 lo, hi;
};
struct I16 {
  __m256i lo, hi;
};

static inline V16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline V16 load_n(const float* p, size_t n) {
  alignas(32) float lanes[16] = {};
  for (size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
static inline void store(float* p, V16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
static inline void store_n(float* p, V16 a, size_t n) {
  alignas(32) float lanes[16];
  store(lanes, a);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
}
static inline V16 set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline V16 add(V16 a, V16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
static inline V16 sub(V16 a, V16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
static inline V16 mul(V16 a, V16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
static inline V16 div(V16 a, V16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
static inline V16 fma(V16 a, V16 b, V16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline V16 max(V16 a, V16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
static inline V16 min(V16 a, V16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
static inline __m256 zero_where_less_half(__m256 x, __m256 bound, __m256 value) {
  return _mm256_andnot_ps(_mm256_cmp_ps(x, bound, _CMP_LT_OQ), value);
}
static inline V16 zero_where_less(V16 x, V16 bound, V16 value) {
  return {zero_where_less_half(x.lo, bound.lo, value.lo), zero_where_less_half(x.hi, bound.hi, value.hi)};
}
static inline uint32_t greater_bits(V16 a, V16 b) {
  const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ));
  const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ));
  return static_cast<uint32_t>(lo | hi << 8);
}
static inline __m256 keep_bits_half(__m256 a, uint32_t bits, __m256 otherwise) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i kept =
      _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane), lane);
  return _mm256_blendv_ps(otherwise, a, _mm256_castsi256_ps(kept));
}
static inline V16 keep_bits(V16 a, uint32_t bits, float otherwise) {
  const __m256 other = _mm256_set1_ps(otherwise);
  return {keep_bits_half(a.lo, bits, other), keep_bits_half(a.hi, bits >> 8, other)};
}
static inline __m256 power_of_two_half(__m256 shifted) {
  const __m256i n = _mm256_castps_si256(shifted);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
static inline V16 power_of_two(V16 a) {
  return {power_of_two_half(a.lo), power_of_two_half(a.hi)};
}
static inline float fold_add(V16 a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float fold_max(V16 a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline __m128i load_128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
static inline __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
static inline V16 load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 8))};
}
static inline __m256 bf16_half(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16));
}
static inline V16 load_bf16(const uint16_t* p) {
  return {bf16_half(p), bf16_half(p + 8)};
}
static inline void bf16_pairs_half(const uint16_t* p, __m256& even, __m256& odd) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000))));
}
static inline void load_bf16_pairs(const uint16_t* p, V16& even, V16& odd) {
  bf16_pairs_half(p, even.lo, odd.lo);
  bf16_pairs_half(p + 16, even.hi, odd.hi);
}
static inline float root(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}
static inline float one_half_to_float(uint16_t half) {
  return _cvtsh_ss(half);
}
static inline uint16_t one_float_to_half(float x) {
  return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
}

static inline I16 int_set1(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
static inline I16 int_add(I16 a, I16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
static inline I16 int_sub(I16 a, I16 b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
static inline I16 int_mul(I16 a, I16 b) {
  return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)};
}
static inline V16 to_float(I16 a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
static inline __m128i load_64(const void* p) {
  return _mm_loadl_epi64(static_cast<const __m128i*>(p));
}
static inline I16 load_u8(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(load_64(p)), _mm256_cvtepu8_epi32(load_64(p + 8))};
}
static inline I16 load_s8(const int8_t* p) {
  return {_mm256_cvtepi8_epi32(load_64(p)), _mm256_cvtepi8_epi32(load_64(p + 8))};
}

static inline I16 magnitude_bits(const float* p) {
  const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
  return {_mm256_and_si256(load_256(p), mask), _mm256_and_si256(load_256(p + 8), mask)};
}
static inline I16 int_max(I16 a, I16 b) {
  return {_mm256_max_epi32(a.lo, b.lo), _mm256_max_epi32(a.hi, b.hi)};
}
static inline int32_t int_fold_max(I16 a) {
  const __m256i eight = _mm256_max_epi32(a.lo, a.hi);
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}
static inline int32_t int_fold_add(I16 a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}
static inline I16 round_to_int(V16 a) {
  return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}
static inline void store_s8(int8_t* p, I16 a) {
  alignas(32) int32_t lanes[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), a.lo);
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes + 8), a.hi);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(lanes[i]);
}

// Four inputs of sixteen outputs, "quad" j of a group of 32 (panel.h): outputs 0..7 (lo) and 8..15 (hi).
struct Quad {
  __m256i lo, hi;
};
constexpr int32_t kSignedOffset = 0;

static inline Quad quad_of_nibbles(const uint8_t* p, int j) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i a = load_256(p + 64 * (j % 4));
  const __m256i b = load_256(p + 64 * (j % 4) + 32);
  if (j < 4) return {_mm256_and_si256(a, low), _mm256_and_si256(b, low)};
  return {_mm256_and_si256(_mm256_srli_epi16(a, 4), low), _mm256_and_si256(_mm256_srli_epi16(b, 4), low)};
}
// The bits at `from` of each byte, moved to position 4 and masked.
static inline __m256i bits_at_4(__m256i bits, int from, __m256i mask) {
  const __m256i moved = from <= 4 ? _mm256_slli_epi16(bits, 4 - from) : _mm256_srli_epi16(bits, from - 4);
  return _mm256_and_si256(moved, mask);
}
static inline Quad with_fifth_bits(Quad w, const uint8_t* high, int j) {
  const __m256i sixteen = _mm256_set1_epi8(16);
  return {_mm256_or_si256(w.lo, bits_at_4(load_256(high), j, sixteen)),
          _mm256_or_si256(w.hi, bits_at_4(load_256(high + 32), j, sixteen))};
}
static inline Quad with_sixth_bits(Quad w, const uint8_t* high, int j) {
  const __m256i mask = _mm256_set1_epi8(0x30);
  const uint8_t* vector = high + 64 * (j / 4);
  return {_mm256_or_si256(w.lo, bits_at_4(load_256(vector), 2 * (j % 4), mask)),
          _mm256_or_si256(w.hi, bits_at_4(load_256(vector + 32), 2 * (j % 4), mask))};
}
static inline Quad quad_of_bytes(const uint8_t* p, int j) {
  return {load_256(p + 64 * j), load_256(p + 64 * j + 32)};
}
// Input i of each output: as stored unsigned, and as the signed byte that quad_of_bytes() read.
static inline I16 input_of(Quad w, int i) {
  const __m256i mask = _mm256_set1_epi32(255);
  return {_mm256_and_si256(_mm256_srli_epi32(w.lo, 8 * i), mask),
          _mm256_and_si256(_mm256_srli_epi32(w.hi, 8 * i), mask)};
}
static inline __m256i signed_byte(__m256i w, int i) {
  return _mm256_srai_epi32(_mm256_slli_epi32(w, 24 - 8 * i), 24);
}
static inline I16 signed_input_of(Quad w, int i) {
  return {signed_byte(w.lo, i), signed_byte(w.hi, i)};
}

static inline __m256i broadcast_32(const void* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, 4);
  return _mm256_set1_epi32(quad);
}
// Products of sixteen outputs, summed in 16 bits as long as that is exact: maddubs adds two, and the
// multiplication that widens pairs to 32 bits applies a scale besides. Outputs 0..7 (lo) and 8..15 (hi).
struct DotSum {
  __m256i lo, hi;
};
// Quads that one sum has room for: activations are within +-127.
static constexpr int quads_of_sum(int32_t largest_weight) {
  const int quads = 32767 / (2 * largest_weight * 127);
  return quads >= 8 ? 8 : quads >= 4 ? 4 : quads >= 2 ? 2 : 1;
}
static inline DotSum dot_sum_zero() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
static inline DotSum dot_sum_add(DotSum a, DotSum b) {
  return {_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)};
}
// sum + the products of a quad with four activations.
static inline DotSum dot(DotSum sum, Quad w, const int8_t* a) {
  const __m256i x = broadcast_32(a);
  return dot_sum_add(sum, {_mm256_maddubs_epi16(w.lo, x), _mm256_maddubs_epi16(w.hi, x)});
}
// The sign trick: |w| times (a with the sign of w). Exact although |-128| = 128: 2 * 128 * 127 < 32,768.
static inline DotSum dot_signed(DotSum sum, Quad w, const int8_t* a) {
  const __m256i x = broadcast_32(a);
  return dot_sum_add(sum, {_mm256_maddubs_epi16(_mm256_abs_epi8(w.lo), _mm256_sign_epi8(x, w.lo)),
                           _mm256_maddubs_epi16(_mm256_abs_epi8(w.hi), _mm256_sign_epi8(x, w.hi))});
}
static inline I16 whole(DotSum sum) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(sum.lo, ones), _mm256_madd_epi16(sum.hi, ones)};
}
// Two 16-bit numbers a lane, low and high, and acc + their products with a[0] and a[1].
static inline I16 pair_16(I16 low, I16 high) {
  return {_mm256_blend_epi16(low.lo, _mm256_slli_epi32(high.lo, 16), 0xAA),
          _mm256_blend_epi16(low.hi, _mm256_slli_epi32(high.hi, 16), 0xAA)};
}
static inline I16 dot_pair(I16 acc, I16 w, const int16_t* a) {
  const __m256i x = broadcast_32(a);
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(w.lo, x)),
          _mm256_add_epi32(acc.hi, _mm256_madd_epi16(w.hi, x))};
}
// Scales of sixteen outputs, each in both halves of its lane, and a sum times them.
using DotScale = I16;
static inline DotScale dot_scale(I16 scale) {
  return pair_16(scale, scale);
}
static inline I16 scaled(DotSum sum, DotScale scale) {
  return {_mm256_madd_epi16(sum.lo, scale.lo), _mm256_madd_epi16(sum.hi, scale.hi)};
}
static inline I16 shift_left(I16 a, int bits) {
  return {_mm256_slli_epi32(a.lo, bits), _mm256_slli_epi32(a.hi, bits)};
}

constexpr int kFloatTile = 4;
constexpr int kQueryTile = 4;
static constexpr int vectors_beside(int queries) {
  return queries == 1 ? 4 : queries == 2 ? 2 : 1;
}

}  // namespace headrace::cpu::HEADRACE_TIER
