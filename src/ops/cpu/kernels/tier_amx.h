// The tier amx below its tiles, which are the processor's (tier_amx.cpp) or loops
// (ops/testing/emulated_amx.cpp).
#pragma once

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
