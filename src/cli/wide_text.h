// UTF-8 and libedit's wide characters, whatever the locale is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headrace::cli {

std::wstring to_wide(std::string_view text);
std::string to_utf8(std::wstring_view text);

/// The first character of `bytes`, taken out of them; nothing if it is not complete. What is not UTF-8 comes
/// out as U+FFFD.
std::optional<wchar_t> take_character(std::string& bytes);

}  // namespace headrace::cli
