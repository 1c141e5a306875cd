// What the tiles of AMX have in common with their emulation (ops/testing/emulated_tiles.h).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

/// As ldtilecfg reads it.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Loads of a tile register from the second-level cache wait for line after line, so lines are asked for
// early.
static inline void ask_for_lines(const void* p, size_t lines) {
  const char* bytes = static_cast<const char*>(p);
  for (size_t i = 0; i < lines; ++i) __builtin_prefetch(bytes + 64 * i);
}

}  // namespace headrace::cpu::HEADRACE_TIER
