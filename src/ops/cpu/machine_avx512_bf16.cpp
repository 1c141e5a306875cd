// Compiled with AVX512-BF16 (CMakeLists.txt). Include nothing with inline functions beyond these.
#define HEADRACE_TIER avx512_bf16

#include "ops/cpu/machine_kernels.h"

#include "ops/cpu/kernels/vec_avx512.h"

#include "ops/cpu/kernels/tree_sum.h"

#include "ops/cpu/kernels/bf16_pairs.h"

namespace headrace::cpu::HEADRACE_TIER {
static constexpr MachineKernels kKernels = {
    .name = "avx512-bf16",
    .pieces = 1,
    .most_panels = 2,
    .tile_rows = kPairRows,
    .keeps_segments = false,
    .tile_size = pair_tile_size,
    .split_tile = split_pairs,
    .linear = linear_pairs,
};
}  // namespace headrace::cpu::HEADRACE_TIER

const headrace::cpu::MachineKernels& headrace::cpu::avx512_bf16_kernels() {
  return avx512_bf16::kKernels;
}
