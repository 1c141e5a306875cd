// JSON from outside, parsed without exceptions and within limits.
#pragma once

#include <cstddef>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/result.h"

namespace headrace::cli {

/// Arrays and objects inside each other: more than any tool's schema, less than any stack.
inline constexpr int kMaxJsonLevels = 200;
/// Keys of one object: they are looked up one by one.
inline constexpr size_t kMaxJsonKeys = 10'000;

/// Fails with usage (not JSON, with the place) or out_of_budget beyond the limits above; `name` begins each
/// message. Keys keep their order.
Result<nlohmann::ordered_json> parse_json_within_limits(std::string_view text, std::string_view name);

}  // namespace headrace::cli
