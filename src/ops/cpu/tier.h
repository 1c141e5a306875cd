// Which kernel tier runs: the best that the processor has, or the one that HEADRACE_CPU names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

std::string_view name_of(Tier tier);
std::optional<Tier> tier_from_name(std::string_view name);

/// Why `tier` cannot run here ("this processor lacks avx512_vnni", "not built"), or nothing if it can.
std::optional<std::string> missing_for(Tier tier);

/// The tiers that can run here, worst first.
std::vector<Tier> available_tiers();

/// `forced` (the value of HEADRACE_CPU, empty for none) or the best available tier. A tier that is unknown,
/// not built or not supported by the processor is an error, never a silent fallback.
Result<Tier> choose_tier(std::string_view forced);

}  // namespace headrace::cpu
