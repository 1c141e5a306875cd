// The tier amx with tiles that are loops (emulated_tiles.h).
// Compiled with this tier's instruction set (CMakeLists.txt). Include nothing with inline functions beyond
// these. AVX-512 and the tiles of AMX.
#define HEADRACE_TIER emulated_amx
#define HEADRACE_TILES

#include "ops/testing/emulated_amx.h"
#include "ops/cpu/panel.h"

#include "ops/cpu/kernels/vec_avx512.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr size_t kTileRows = 16;
constexpr size_t kRowBlockBytes = size_t{512} << 10;
constexpr bool kKeepsSegments = true;
}  // namespace headrace::cpu::HEADRACE_TIER

#include "ops/cpu/kernels/elementary.h"
#include "ops/cpu/kernels/tree_sum.h"

#include "ops/cpu/kernels/attention.h"
#include "ops/cpu/kernels/linear_float.h"
#include "ops/cpu/kernels/linear_quantised.h"
#include "ops/testing/emulated_tiles.h"

#include "ops/cpu/kernels/segments.h"

#include "ops/cpu/kernels/linear_tiles.h"
#include "ops/cpu/kernels/peak.h"
#include "ops/cpu/kernels/rows.h"
#include "ops/cpu/kernels/top_k.h"

#include "ops/cpu/kernels/decode_panel.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr Tier kTier = Tier::amx;
constexpr auto kLinearQuantised = linear_tiles;
}  // namespace headrace::cpu::HEADRACE_TIER
#include "ops/cpu/kernels/table.h"

const headrace::cpu::KernelTable& headrace::cpu::emulated_amx_kernels() {
  return emulated_amx::kTable;
}
