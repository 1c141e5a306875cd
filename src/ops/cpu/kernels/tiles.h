// The eight tile registers of AMX: up to 16 rows of 64 bytes. Not through the compiler's intrinsics: those of
// g++ 12 do not tell it which memory a configuration or a tile is read from, so it drops the stores before.
#pragma once

#include "ops/cpu/kernels/tile_shapes.h"

namespace headrace::cpu::HEADRACE_TIER {

static inline void configure_tiles(const TileShapes& shapes) {
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
}
/// The system need not save tiles any more when it switches threads.
static inline void release_tiles() {
  __asm__ volatile("tilerelease");
}
/// Memory that tiles are read from was written before this.
static inline void publish_to_tiles() {
  __asm__ volatile("" : : : "memory");
}
template <int T>
static inline void zero_tile() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T>
static inline void load_tile(const void* p, size_t stride) {
  __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(T), "r"(p), "r"(stride));
}
/// As many rows of sixteen numbers as the tile has.
template <int T, typename Number>
static inline void store_tile(Number (&out)[16][16]) {
  static_assert(sizeof(Number) == 4);
  __asm__ volatile("tilestored %%tmm%c1, (%2,%3,1)" : "+m"(out) : "i"(T), "r"(&out), "r"(size_t{64}));
}
/// Sum += A B: signed bytes of A with signed bytes of B, or with unsigned ones.
template <int Sum, int A, int B>
static inline void dot_signed_tiles() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}
template <int Sum, int A, int B>
static inline void dot_unsigned_tiles() {
  __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}

/// Sum += A B: floats, from pairs of bf16.
template <int Sum, int A, int B>
static inline void dot_bf16_tiles() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}

}  // namespace headrace::cpu::HEADRACE_TIER
