// Level `machine` of AMX with tiles that are loops (emulated_tiles.h).
#define HEADRACE_TIER emulated_amx_bf16

#include "ops/testing/emulated_amx.h"

#include "ops/cpu/kernels/vec_avx512.h"

#include "ops/cpu/kernels/tree_sum.h"

#include "ops/testing/emulated_tiles.h"

#include "ops/cpu/kernels/segments.h"

#include "ops/cpu/kernels/bf16_tiles.h"

const headrace::cpu::MachineKernels& headrace::cpu::emulated_amx_bf16_kernels() {
  return emulated_amx_bf16::kKernels;
}
