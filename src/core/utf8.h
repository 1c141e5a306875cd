// UTF-8, decoded one character at a time from bytes that may be anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

struct Utf8Char {
  uint32_t code_point;  // U+FFFD if not valid
  size_t size;          // bytes consumed, at least 1
  bool valid;
};

/// The character at `text[at]` (at < text.size()). Overlong forms, surrogates and values above U+10FFFF are
/// not valid; an invalid sequence consumes its longest valid prefix, as the Unicode standard recommends
/// ("maximal subpart"), so that every decoder replaces it with the same number of U+FFFD.
Utf8Char decode_utf8(std::string_view text, size_t at);

/// Appends `code_point` as UTF-8; anything that is not a Unicode scalar value becomes U+FFFD.
void append_utf8(std::string& out, uint32_t code_point);

bool is_valid_utf8(std::string_view text);

/// `text` with every invalid sequence replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

/// Length of the longest prefix that does not end inside a character that more bytes could complete. Invalid
/// bytes that no continuation can mend count as complete.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace headrace
