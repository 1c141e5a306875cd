// The alphabet of byte-level vocabularies: every byte has a printable character that stands for it, so that
// tokens made of arbitrary bytes can be spelled as text ("Ġthe" is " the").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headrace {

/// The bytes that `spelling` stands for, or nothing if one of its characters is not in the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace headrace
