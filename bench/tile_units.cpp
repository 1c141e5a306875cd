// Claim: beside tile instructions (AMX) only one of a core's two units multiplies or converts vectors of 512
// bits, for some hundred cycles after the last of them; additions and integers go on in both.
//
//   bench_tile_units
//
// Prints nanoseconds of 48 independent instructions of a kind alone and with one tilezero before them, and
// how long a pause after a tilezero has to be until it is no longer felt. It bounds the kernels of
// src/ops/cpu/kernels/linear_tiles.h. One thread, the best of many runs.
#include <fmt/format.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace {

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

template <typename Body>
double best_ns(Body body) {
  constexpr int kRuns = 2000;
  double best = 1e9;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kRuns; ++i) body();
    const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - begin;
    best = std::min(best, passed.count() / kRuns);
  }
  return best;
}

void tile() {
  __asm__ volatile("tilezero %tmm0");
}

// Twelve chains, `rounds` instructions each.
#define VECTORS(name, text)                                                                 \
  [[gnu::noinline]] void name(int rounds) {                                                 \
    __m512 a[12];                                                                           \
    for (auto& x : a) x = _mm512_set1_ps(1);                                                \
    const __m512 d = _mm512_set1_ps(0.5F);                                                  \
    for (int i = 0; i < rounds; ++i) {                                                      \
      _Pragma("GCC unroll 12") for (auto& x : a) __asm__ volatile(text : "+v"(x) : "v"(d)); \
    }                                                                                       \
  }
VECTORS(multiply_add, "vfmadd231ps %1,%1,%0")
VECTORS(multiply, "vmulps %1,%0,%0")
VECTORS(convert, "vcvtdq2ps %0,%0")
VECTORS(dot_bytes, "vpdpbusd %1,%1,%0")
VECTORS(add, "vaddps %1,%0,%0")
VECTORS(add_integers, "vpaddd %1,%0,%0")
VECTORS(logic, "vpternlogd $17,%1,%0,%0")

void compare(const char* name, void (*vectors)(int)) {
  const double alone = best_ns([&] { vectors(4); });
  const double beside = best_ns([&] {
    tile();
    vectors(4);
  });
  fmt::print("| {} | {:.2f} | {:.2f} | {:.2f} |\n", name, alone, beside, beside / alone);
}

}  // namespace

int main() {
  constexpr int kRequestTiles = 0x1023;
  constexpr int kTileData = 18;
  if (!__builtin_cpu_supports("avx512f") || syscall(SYS_arch_prctl, kRequestTiles, kTileData) != 0) {
    fmt::print("this machine has no tiles\n");
    return 77;
  }
  const TileShapes shapes;
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
  fmt::print("| 48 instructions | ns alone | ns beside a tile instruction | times |\n|---|---|---|---|\n");
  compare("fma", multiply_add);
  compare("mul", multiply);
  compare("int to float", convert);
  compare("dot of bytes", dot_bytes);
  compare("add", add);
  compare("add, integers", add_integers);
  compare("logic", logic);
  fmt::print("\n| fma after one tile instruction | ns alone | ns | more |\n|---|---|---|---|\n");
  for (const int rounds : {1, 4, 16, 64, 256}) {
    const double alone = best_ns([&] { multiply_add(rounds); });
    const double beside = best_ns([&] {
      tile();
      multiply_add(rounds);
    });
    fmt::print("| {} | {:.1f} | {:.1f} | {:.1f} |\n", 12 * rounds, alone, beside, beside - alone);
  }
  __asm__ volatile("tilerelease");
  return 0;
}
