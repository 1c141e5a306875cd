// Compiled with AVX-512; tiles are assembly. Include nothing with inline functions beyond these.
#define HEADRACE_TIER amx_bf16

#include "ops/cpu/machine_kernels.h"

#include "ops/cpu/kernels/vec_avx512.h"

#include "ops/cpu/kernels/tree_sum.h"

#include "ops/cpu/kernels/tiles.h"

#include "ops/cpu/kernels/segments.h"

#include "ops/cpu/kernels/bf16_tiles.h"

const headrace::cpu::MachineKernels& headrace::cpu::amx_bf16_kernels() {
  return amx_bf16::kKernels;
}
