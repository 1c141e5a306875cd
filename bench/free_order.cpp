// The kernels of tier avx512, but for R0's tree: segments are added to one running sum as they come. Compiled
// as that tier is; include nothing with inline functions beyond these.
#define HEADRACE_TIER free_order

#include "free_order.h"
#include "ops/cpu/panel.h"

#include "ops/cpu/kernels/vec_avx512.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr size_t kTileRows = 12;
constexpr size_t kRowBlockBytes = size_t{256} << 10;
constexpr bool kKeepsSegments = false;

// In place of kernels/tree_sum.h.
template <int R>
struct TreeSums {
  V16 sum[R];

  explicit TreeSums(size_t /*segments*/) {
    for (int r = 0; r < R; ++r) sum[r] = set1(0.0F);
  }
  void add(V16 (&segment)[R]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sum[r] = headrace::cpu::HEADRACE_TIER::add(sum[r], segment[r]);
  }
  V16 total(int r) const {
    return sum[r];
  }
};
}  // namespace headrace::cpu::HEADRACE_TIER

#include "ops/cpu/kernels/elementary.h"

#include "ops/cpu/kernels/attention.h"
#include "ops/cpu/kernels/linear_float.h"
#include "ops/cpu/kernels/linear_quantised.h"
#include "ops/cpu/kernels/peak.h"
#include "ops/cpu/kernels/rows.h"
#include "ops/cpu/kernels/top_k.h"

#include "ops/cpu/kernels/decode_panel.h"

namespace headrace::cpu::HEADRACE_TIER {
constexpr Tier kTier = Tier::avx512;
constexpr auto kLinearQuantised = linear_quantised;
}  // namespace headrace::cpu::HEADRACE_TIER
#include "ops/cpu/kernels/table.h"

const headrace::cpu::KernelTable& headrace::cpu::free_order_kernels() {
  return free_order::kTable;
}
