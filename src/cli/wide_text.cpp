#include "cli/wide_text.h"

#include <cstdint>

#include "core/utf8.h"

namespace headrace::cli {

static_assert(sizeof(wchar_t) == sizeof(uint32_t), "wide characters are code points");

std::wstring to_wide(std::string_view text) {
  std::wstring wide;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    wide += static_cast<wchar_t>(next.code_point);
    at += next.size;
  }
  return wide;
}

std::string to_utf8(std::wstring_view text) {
  std::string bytes;
  for (const wchar_t c : text) append_utf8(bytes, static_cast<uint32_t>(c));
  return bytes;
}

std::optional<wchar_t> take_character(std::string& bytes) {
  if (bytes.empty() || complete_utf8_prefix(bytes) == 0) return std::nullopt;
  const Utf8Char next = decode_utf8(bytes, 0);
  bytes.erase(0, next.size);
  return static_cast<wchar_t>(next.code_point);
}

}  // namespace headrace::cli
