// Unicode normalisation form C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace {

/// `text` (valid UTF-8) with characters composed: "e" and U+0301 become U+00E9. Takes O(n log n).
std::string to_nfc(std::string_view text);

/// True if what comes before `code_point` may compose with it or be ordered after it, so that a text must not
/// be cut in front of it to be normalised in parts.
bool joins_what_comes_before(uint32_t code_point);

}  // namespace headrace
