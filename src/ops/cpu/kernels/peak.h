// Loops of nothing but the instructions that kernels spend their time on, on registers, and one that reads
// memory: the ceilings that speeds are compared with (ceilings.h). Each keeps enough sums apart to hide an
// instruction's latency, few enough to stay in registers.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

#if defined(__AVX512F__)
using PeakInts = __m512i;
static constexpr size_t kPeakInts = 64;  // products of peak_dot()
static constexpr int kPeakChains = 12;   // V16 and PeakInts are one of 32 registers
static inline PeakInts peak_dot(PeakInts sum, const PeakInts& weights, PeakInts inputs) {
  return _mm512_dpbusd_epi32(sum, weights, inputs);
}
static inline PeakInts peak_ints(int8_t value) {
  return _mm512_set1_epi8(value);
}
#elif defined(__AVX2__)
using PeakInts = __m256i;
static constexpr size_t kPeakInts = 32;
static constexpr int kPeakChains = 6;  // a V16 is two of 16 registers
static inline PeakInts peak_dot(PeakInts sum, PeakInts& weights, PeakInts inputs) {
  __asm__("" : "+x"(weights));  // or the compiler would multiply once for all sums
  const __m256i pairs = _mm256_maddubs_epi16(weights, inputs);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline PeakInts peak_ints(int8_t value) {
  return _mm256_set1_epi8(value);
}
#else
using PeakInts = uint16_t __attribute__((vector_size(16)));  // x86-64's own: no products of bytes
static constexpr size_t kPeakInts = 8;
static constexpr int kPeakChains = 3;  // a V16 is four of 16 registers
static inline PeakInts peak_dot(PeakInts sum, PeakInts& weights, PeakInts inputs) {
  __asm__("" : "+x"(weights));
  return sum + weights * inputs;
}
static inline PeakInts peak_ints(int8_t value) {
  return PeakInts{} + static_cast<uint16_t>(value);
}
#endif

#if defined(HEADRACE_TILES)
static constexpr int kPeakTiles = 4;
static constexpr size_t kPeakInt8Ops = size_t{2} * kPeakTiles * 16 * 16 * 64;
#else
static constexpr size_t kPeakInt8Ops = size_t{2} * kPeakChains * kPeakInts;
#endif
static constexpr size_t kPeakF32Ops = size_t{2} * kPeakChains * 16;

#if defined(HEADRACE_TILES)
static int32_t peak_int8(const int8_t* start, size_t rounds) {
  static constexpr TileShapes shapes = tile_shapes(64, 16);
  int8_t inputs[16][64];
  for (size_t i = 0; i < sizeof inputs; ++i) inputs[i / 64][i % 64] = start[i % 16];
  configure_tiles(shapes);
  publish_to_tiles();
  load_tile<4>(inputs, 64);
  load_tile<6>(inputs, 64);
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
  for (size_t r = 0; r < rounds; ++r) {
    dot_signed_tiles<0, 4, 6>();
    dot_signed_tiles<1, 4, 6>();
    dot_signed_tiles<2, 4, 6>();
    dot_signed_tiles<3, 4, 6>();
  }
  int32_t sums[16][16];
  store_tile<0>(sums);
  release_tiles();
  return sums[0][0];
}
#else
// The sums begin with what no compiler can know: equal ones would be computed once.
static int32_t peak_int8(const int8_t* start, size_t rounds) {
  PeakInts sums[kPeakChains];
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) sums[c] = peak_ints(start[c]);
  PeakInts weights = peak_ints(start[14]);
  const PeakInts inputs = peak_ints(start[15]);
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) sums[c] = peak_dot(sums[c], weights, inputs);
  }
  PeakInts total = sums[0];
#pragma GCC unroll 16
  for (int c = 1; c < kPeakChains; ++c) total ^= sums[c];
  int32_t first;
  __builtin_memcpy(&first, &total, sizeof first);
  return first;
}
#endif

static float peak_f32(const float* start, size_t rounds) {
  V16 sums[kPeakChains];
#pragma GCC unroll 16
  for (int c = 0; c < kPeakChains; ++c) sums[c] = add(load(start), set1(static_cast<float>(c)));
  const V16 factor = set1(0.5F);
  const V16 term = set1(1.0F);
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kPeakChains; ++c) sums[c] = fma(sums[c], factor, term);
  }
  V16 total = sums[0];
#pragma GCC unroll 16
  for (int c = 1; c < kPeakChains; ++c) total = add(total, sums[c]);
  return fold_add(total);
}

// n: a multiple of 64.
static float read_floats(const float* x, size_t n) {
  V16 sums[4] = {set1(0), set1(0), set1(0), set1(0)};
  for (size_t i = 0; i < n; i += 64) {
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; ++c) sums[c] = add(sums[c], load(x + i + 16 * c));
  }
  return fold_add(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

}  // namespace headrace::cpu::HEADRACE_TIER
