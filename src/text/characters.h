// Kinds of characters, and the way back in UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headrace {

/// Unicode's White_Space.
bool is_white_space(uint32_t code_point);

/// What \w means to Unicode-aware regular expressions: letters, marks, digits, connectors, joiners.
bool is_word_character(uint32_t code_point);

/// Where the character begins that ends at `at` (> 0). `text` is valid UTF-8.
size_t previous_character(std::string_view text, size_t at);

}  // namespace headrace
