// Python's string methods on text, trust kept byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/jinja/runtime.h"
#include "text/jinja/text.h"

namespace headrace::jinja {

enum class Side : uint8_t { left, right, both };

/// Without `characters`, strips white space.
Text strip(const Text& text, Side side, std::optional<std::string_view> characters);

/// At most `count` replacements if count >= 0. The inserted text keeps its own trust.
Result<Text> replace(Runtime& runtime, const Text& text, std::string_view old_part, const Text& new_part,
                     int64_t count);

/// At most `max` cuts if max >= 0; an empty `separator` is the caller's error.
std::vector<Text> split(const Text& text, std::string_view separator, int64_t max, bool from_right);
/// At runs of white space.
std::vector<Text> split_words(const Text& text, int64_t max, bool from_right);
std::vector<Text> split_lines(const Text& text, bool keep_ends);

Result<Text> join(Runtime& runtime, const Text& separator, const std::vector<Text>& parts);

Text upper(const Text& text);
Text lower(const Text& text);
/// First character in upper case, the others in lower case.
Text capitalize(const Text& text);
/// A letter behind a character for which `breaks` holds is upper case, every other lower case.
Text title(const Text& text, bool (*breaks)(uint32_t code_point));

Text reversed(const Text& text);

/// With the five characters of HTML replaced; marked safe.
Text escape_html(const Text& text);
}  // namespace headrace::jinja
