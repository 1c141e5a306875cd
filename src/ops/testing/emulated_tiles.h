// kernels/tiles.h in plain loops: the tiles of AMX on machines that lack them, for tests of the kernels
// above.
#pragma once

#include "ops/cpu/kernels/tile_shapes.h"

namespace headrace::cpu::HEADRACE_TIER {

struct EmulatedTiles {
  TileShapes shapes;
  bool configured = false;
  uint8_t bytes[8][16][64] = {};
};
static thread_local EmulatedTiles registers;

// As the processor: an instruction on tiles that are not configured, or not so, ends the program.
static inline void expect(bool condition) {
  if (!condition) __builtin_trap();
}

static inline void configure_tiles(const TileShapes& shapes) {
  registers = EmulatedTiles{shapes, true, {}};
}
static inline void release_tiles() {
  registers = EmulatedTiles{};
}
static inline void publish_to_tiles() {}
template <int T>
static inline void zero_tile() {
  expect(registers.configured && registers.shapes.rows[T] > 0);
  __builtin_memset(registers.bytes[T], 0, sizeof registers.bytes[T]);
}
template <int T>
static inline void load_tile(const void* p, size_t stride) {
  zero_tile<T>();
  for (size_t r = 0; r < registers.shapes.rows[T]; ++r) {
    __builtin_memcpy(registers.bytes[T][r], static_cast<const uint8_t*>(p) + r * stride,
                     registers.shapes.row_bytes[T]);
  }
}
template <int T, typename Number>
static inline void store_tile(Number (&out)[16][16]) {
  expect(registers.configured && registers.shapes.row_bytes[T] == 64);
  __builtin_memcpy(out, registers.bytes[T], size_t{64} * registers.shapes.rows[T]);
}

template <int Sum, int A, int B, typename Weight>
static inline void dot_tiles() {
  const TileShapes& shapes = registers.shapes;
  expect(registers.configured && shapes.row_bytes[A] == 4 * shapes.rows[B] &&
         shapes.rows[Sum] == shapes.rows[A] && shapes.row_bytes[Sum] == shapes.row_bytes[B]);
  for (size_t m = 0; m < shapes.rows[A]; ++m) {
    for (size_t n = 0; n < shapes.row_bytes[B] / 4U; ++n) {
      int32_t sum;
      __builtin_memcpy(&sum, &registers.bytes[Sum][m][4 * n], 4);
      for (size_t k = 0; k < shapes.row_bytes[A]; ++k) {
        sum += static_cast<int8_t>(registers.bytes[A][m][k]) *
               static_cast<Weight>(registers.bytes[B][k / 4][4 * n + k % 4]);
      }
      __builtin_memcpy(&registers.bytes[Sum][m][4 * n], &sum, 4);
    }
  }
}
template <int Sum, int A, int B>
static inline void dot_signed_tiles() {
  dot_tiles<Sum, A, B, int8_t>();
}
template <int Sum, int A, int B>
static inline void dot_unsigned_tiles() {
  dot_tiles<Sum, A, B, uint8_t>();
}

static inline float bf16_at(const uint8_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}
// Products are exact in a float; how the processor rounds their sums is its own affair.
template <int Sum, int A, int B>
static inline void dot_bf16_tiles() {
  const TileShapes& shapes = registers.shapes;
  expect(registers.configured && shapes.row_bytes[A] == 4 * shapes.rows[B] &&
         shapes.rows[Sum] == shapes.rows[A] && shapes.row_bytes[Sum] == shapes.row_bytes[B]);
  for (size_t m = 0; m < shapes.rows[A]; ++m) {
    for (size_t n = 0; n < shapes.row_bytes[B] / 4U; ++n) {
      float sum;
      __builtin_memcpy(&sum, &registers.bytes[Sum][m][4 * n], 4);
      for (size_t k = 0; k < shapes.row_bytes[A] / 2U; ++k) {
        sum +=
            bf16_at(&registers.bytes[A][m][2 * k]) * bf16_at(&registers.bytes[B][k / 2][4 * n + k % 2 * 2]);
      }
      __builtin_memcpy(&registers.bytes[Sum][m][4 * n], &sum, 4);
    }
  }
}

}  // namespace headrace::cpu::HEADRACE_TIER
