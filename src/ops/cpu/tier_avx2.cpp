// Compiled with this tier's instruction set (CMakeLists.txt). Include nothing with inline functions beyond
// these.
#define HEADRACE_TIER avx2

#include "ops/cpu/kernel_table.h"
#include "ops/cpu/panel.h"

#include "ops/cpu/kernels/vec_avx2.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr size_t kTileRows = 4;
constexpr size_t kRowBlockBytes = size_t{256} << 10;
constexpr bool kKeepsSegments = false;
}  // namespace headrace::cpu::HEADRACE_TIER

#include "ops/cpu/kernels/elementary.h"
#include "ops/cpu/kernels/tree_sum.h"

#include "ops/cpu/kernels/attention.h"
#include "ops/cpu/kernels/linear_float.h"
#include "ops/cpu/kernels/linear_quantised.h"
#include "ops/cpu/kernels/peak.h"
#include "ops/cpu/kernels/rows.h"
#include "ops/cpu/kernels/top_k.h"

#include "ops/cpu/kernels/decode_panel.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr Tier kTier = Tier::avx2;
constexpr auto kLinearQuantised = linear_quantised;
}  // namespace headrace::cpu::HEADRACE_TIER
#include "ops/cpu/kernels/table.h"

const headrace::cpu::KernelTable& headrace::cpu::avx2_kernels() {
  return avx2::kTable;
}
