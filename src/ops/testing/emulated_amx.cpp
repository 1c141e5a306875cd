// The tier amx with tiles that are loops; compiled as that tier is.
#define HEADRACE_TIER emulated_amx
#define HEADRACE_TILES

#include "ops/testing/emulated_amx.h"
#include "ops/cpu/panel.h"

#include "ops/cpu/kernels/vec_avx512.h"

#include "ops/testing/emulated_tiles.h"

#include "ops/cpu/kernels/tier_amx.h"

const headrace::cpu::KernelTable& headrace::cpu::emulated_amx_kernels() {
  return emulated_amx::kTable;
}
