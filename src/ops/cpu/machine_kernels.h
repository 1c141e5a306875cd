// Level `machine` (docs/numerics.md): linears with BF16 weights by the processor's bf16 products, where it has
// them. The order of an output's additions is fixed, so its bits depend on nothing but its row, but they are
// those of this kind of machine.
//
// This header is included by translation units of single instruction sets: plain data only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

inline constexpr size_t kMostMachinePanels = 2;
/// K is a multiple of this; other linears stay as in `exact`.
inline constexpr size_t kMachineInputs = 64;

/// One or two panels of BF16 weights, for all rows: y[p][r][0 .. 16) = x[r] . w[p].
struct MachineTask {
  size_t n_panels;
  const std::byte* panels[kMostMachinePanels];
  float* y[kMostMachinePanels];
  size_t y_stride;
  size_t k;
  size_t rows;
  const uint16_t* pieces;  // of the first row
  size_t pieces_stride;
};

struct MachineKernels {
  const char* name;
  /// bf16 numbers whose sum stands for an activation: one rounds it, three are it.
  size_t pieces;
  /// Writes pieces[i * k + j], piece i of x[j]. k is a multiple of kMachineInputs.
  void (*split_row)(const float* x, size_t k, uint16_t* pieces);
  void (*linear)(const MachineTask&);
};

/// What a tier has on this processor, or null: then `machine` is `exact` there.
const MachineKernels* machine_kernels(Tier tier);
const MachineKernels& avx512_bf16_kernels();
const MachineKernels& amx_bf16_kernels();

}  // namespace headrace::cpu
