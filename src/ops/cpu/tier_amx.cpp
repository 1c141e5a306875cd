// Compiled with this tier's instruction set (CMakeLists.txt): AVX-512; tiles are assembly. Include nothing
// with inline functions beyond these.
#define HEADRACE_TIER amx
#define HEADRACE_TILES

#include "ops/cpu/kernel_table.h"
#include "ops/cpu/panel.h"

#include "ops/cpu/kernels/vec_avx512.h"

#include "ops/cpu/kernels/tiles.h"

#include "ops/cpu/kernels/tier_amx.h"

const headrace::cpu::KernelTable& headrace::cpu::amx_kernels() {
  return amx::kTable;
}
