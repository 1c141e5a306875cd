// Level `machine` (docs/numerics.md): linears with BF16 weights by the processor's bf16 products, where it
// has them. The order of an output's additions is fixed, so its bits depend on nothing but its row, but they
// are those of this kind of machine.
//
// This header is included by translation units of single instruction sets: plain data only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

inline constexpr size_t kMostMachinePanels = 4;
/// K is a multiple of this; other linears stay as in `exact`.
inline constexpr size_t kMachineInputs = 64;
/// Inputs of a segment; the last may have fewer.
inline constexpr size_t kMachineSegment = 256;
inline constexpr size_t machine_segments(size_t k) {
  return (k + kMachineSegment - 1) / kMachineSegment;
}

/// Some panels of BF16 weights, for all rows: y[p][r][0 .. 16) = x[r] . w[p]. Activations stand in tiles of
/// tile_rows rows (the last may have fewer), as split_tile() writes them.
struct MachineTask {
  size_t n_panels;
  const std::byte* panels[kMostMachinePanels];
  float* y[kMostMachinePanels];
  size_t y_stride;
  size_t k;
  size_t rows;
  const uint16_t* pieces;
  size_t tile_stride;  // numbers from one tile to the next
  float* segments;     // segment_floats(rows, k) a panel, where keeps_segments is set
};

struct MachineKernels {
  const char* name;
  /// bf16 numbers whose sum stands for an activation: one rounds it, three are it.
  size_t pieces;
  size_t most_panels;  // of a task
  size_t tile_rows;
  bool keeps_segments;
  /// Numbers that a tile needs.
  size_t (*tile_size)(size_t k);
  /// Writes `rows` rows of a tile. k is a multiple of kMachineInputs.
  void (*split_tile)(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* tile);
  void (*linear)(const MachineTask&);
};

/// What a tier has on this processor, or null: then `machine` is `exact` there.
const MachineKernels* machine_kernels(Tier tier);
const MachineKernels& avx512_bf16_kernels();
const MachineKernels& amx_bf16_kernels();

}  // namespace headrace::cpu
