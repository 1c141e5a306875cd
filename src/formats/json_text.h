// JSON from outside: parsed without exceptions, within limits, each key once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/result.h"

namespace headrace {

/// Deeper than any file of a model nests; what parses can then be walked by recursion.
inline constexpr size_t kMaxJsonDepth = 64;

/// The object that `text` holds. Fails with bad_model: not JSON (with the byte), not an object, deeper than
/// kMaxJsonDepth, or an object with one key twice, of which readers would take one or the other. `name`
/// begins each message.
Result<nlohmann::json> parse_json_object(std::string_view name, std::string_view text);

/// What a JSON value is, for messages: "a string", "the number 3", "null".
std::string describe(const nlohmann::json& value);

}  // namespace headrace
