// Pages by layer group: what the scheduler counts and the cache has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace headrace {

/// Layer groups of a model at most.
inline constexpr size_t kMaxLayerGroups = 8;

using PageCounts = std::array<uint32_t, kMaxLayerGroups>;

}  // namespace headrace
