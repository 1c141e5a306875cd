// The character properties that Python's string methods need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headrace::jinja {

/// str.isspace() of one character.
bool is_space(uint32_t code_point);
/// Characters that repr() writes as they are. Unassigned code points count as printable here, unlike in
/// Python: which ones are assigned changes every year.
bool is_printable(uint32_t code_point);
/// Unicode's simple case mappings; `ß` alone maps to two letters. (Python's other one-to-many mappings and
/// the final sigma are left alone.)
uint32_t to_lower(uint32_t code_point);
void append_upper(std::string& out, uint32_t code_point);
uint32_t to_upper(uint32_t code_point);

}  // namespace headrace::jinja
