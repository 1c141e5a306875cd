// Sixteen lanes in one AVX-512 register. See vec_portable.h for what each operation means.
#pragma once

#include <immintrin.h>

namespace headrace::cpu::HEADRACE_TIER {

struct V16 {
  __m512 v;
};
struct I16 {
  __m512i v;
};

static inline V16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
static inline V16 load_n(const float* p, size_t n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)};
}
static inline void store(float* p, V16 a) {
  _mm512_storeu_ps(p, a.v);
}
static inline void store_n(float* p, V16 a, size_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}
static inline V16 set1(float x) {
  return {_mm512_set1_ps(x)};
}
static inline V16 add(V16 a, V16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
static inline V16 sub(V16 a, V16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
static inline V16 mul(V16 a, V16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
static inline V16 div(V16 a, V16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
static inline V16 fma(V16 a, V16 b, V16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
static inline V16 max(V16 a, V16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
static inline V16 min(V16 a, V16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
static inline V16 zero_where_less(V16 x, V16 bound, V16 value) {
  const __mmask16 less = _mm512_cmp_ps_mask(x.v, bound.v, _CMP_LT_OQ);
  return {_mm512_maskz_mov_ps(static_cast<__mmask16>(~less), value.v)};
}
static inline uint32_t greater_bits(V16 a, V16 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ);
}
static inline V16 keep_bits(V16 a, uint32_t bits, float otherwise) {
  return {_mm512_mask_mov_ps(_mm512_set1_ps(otherwise), static_cast<__mmask16>(bits), a.v)};
}
static inline V16 power_of_two(V16 shifted) {
  const __m512i n = _mm512_castps_si512(shifted.v);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23))};
}
static inline float fold_add(V16 a) {
  const __m256 high = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float fold_max(V16 a) {
  return _mm512_reduce_max_ps(a.v);
}

static inline V16 load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
static inline V16 load_bf16(const uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
// Two neighbours of each output, [16][2].
static inline void load_bf16_pairs(const uint16_t* p, V16& even, V16& odd) {
  const __m512i pairs = _mm512_loadu_si512(p);
  even = {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))};
  odd = {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000))))};
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
  return {_mm512_set1_epi32(x)};
}
static inline I16 int_add(I16 a, I16 b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
static inline I16 int_sub(I16 a, I16 b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
static inline I16 int_mul(I16 a, I16 b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
static inline V16 to_float(I16 a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
static inline I16 load_u8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
static inline I16 load_s8(const int8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}

// Magnitude bits of 16 floats, as integers.
static inline I16 magnitude_bits(const float* p) {
  return {_mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(0x7FFFFFFF))};
}
static inline I16 int_max(I16 a, I16 b) {
  return {_mm512_max_epi32(a.v, b.v)};
}
static inline int32_t int_fold_max(I16 a) {
  return _mm512_reduce_max_epi32(a.v);
}
static inline int32_t int_fold_add(I16 a) {
  return _mm512_reduce_add_epi32(a.v);
}
static inline I16 round_to_int(V16 a) {
  return {_mm512_cvtps_epi32(a.v)};
}
static inline void store_s8(int8_t* p, I16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}

// Four inputs of sixteen outputs, "quad" j of a group of 32 (panel.h). VNNI multiplies unsigned by signed
// bytes, so signed weights are read here with 128 added.
struct Quad {
  __m512i v;
};
constexpr int32_t kSignedOffset = 128;

static inline Quad quad_of_nibbles(const uint8_t* p, int j) {
  const __m512i bytes = _mm512_loadu_si512(p + 64 * (j % 4));
  return {_mm512_and_si512(j < 4 ? bytes : _mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15))};
}
// Bit `from` of each byte (and the next, if the mask has two), moved to bit 4.
static inline __m512i bits_at_4(__m512i bits, int from, __m512i mask) {
  const __m512i moved = from <= 4 ? _mm512_slli_epi16(bits, static_cast<unsigned>(4 - from))
                                  : _mm512_srli_epi16(bits, static_cast<unsigned>(from - 4));
  return _mm512_and_si512(moved, mask);
}
// Bit j of byte b of `high` becomes bit 4 of byte b.
static inline Quad with_fifth_bits(Quad w, const uint8_t* high, int j) {
  const __m512i bits = bits_at_4(_mm512_loadu_si512(high), j, _mm512_set1_epi8(16));
  return {_mm512_or_si512(w.v, bits)};
}
// Bits 2(j%4) .. of byte b of vector j/4 become bits 4 and 5 of byte b.
static inline Quad with_sixth_bits(Quad w, const uint8_t* high, int j) {
  const __m512i two = _mm512_loadu_si512(high + 64 * (j / 4));
  return {_mm512_or_si512(w.v, bits_at_4(two, 2 * (j % 4), _mm512_set1_epi8(0x30)))};
}
static inline Quad quad_of_bytes(const uint8_t* p, int j) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  return {_mm512_xor_si512(_mm512_loadu_si512(p + 64 * j), flip)};
}
// Input i of each output: as stored unsigned, and as the signed byte that quad_of_bytes() read.
static inline I16 input_of(Quad w, int i) {
  return {_mm512_and_si512(_mm512_srli_epi32(w.v, static_cast<unsigned>(8 * i)), _mm512_set1_epi32(255))};
}
static inline I16 signed_input_of(Quad w, int i) {
  return int_sub(input_of(w, i), int_set1(kSignedOffset));
}

static inline __m512i broadcast_32(const void* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, 4);
  return _mm512_set1_epi32(quad);
}
// acc + the products of a quad with four activations.
static inline I16 dot(I16 acc, Quad w, const int8_t* a) {
  return {_mm512_dpbusd_epi32(acc.v, w.v, broadcast_32(a))};
}
static inline I16 dot_signed(I16 acc, Quad w, const int8_t* a) {
  return dot(acc, w, a);
}
// Two 16-bit numbers a lane, low and high, and acc + their products with a[0] and a[1].
static inline I16 pair_16(I16 low, I16 high) {
  return {_mm512_mask_blend_epi16(0xAAAAAAAA, low.v, _mm512_slli_epi32(high.v, 16))};
}
static inline I16 dot_pair(I16 acc, I16 w, const int16_t* a) {
  return {_mm512_dpwssd_epi32(acc.v, w.v, broadcast_32(a))};
}
static inline I16 shift_left(I16 a, int bits) {
  return {_mm512_slli_epi32(a.v, static_cast<unsigned>(bits))};
}

// Rows and queries that kernels work on at once: as many as have their sums in registers.
constexpr int kFloatTile = 8;
constexpr int kQueryTile = 4;
static constexpr int vectors_beside(int) {
  return 4;
}

}  // namespace headrace::cpu::HEADRACE_TIER

#include "ops/cpu/kernels/whole_sums.h"
