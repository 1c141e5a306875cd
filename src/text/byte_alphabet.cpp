#include "text/byte_alphabet.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/utf8.h"

namespace headrace {
namespace {

constexpr uint32_t kFirstSubstitute = 0x100;
constexpr size_t kSubstitutes = 68;

// Bytes that are printable in Latin-1 stand for themselves.
constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// The others, in ascending order, are written as U+0100, U+0101 and so on.
constexpr std::array<char, kSubstitutes> substituted_bytes() {
  std::array<char, kSubstitutes> bytes{};
  size_t n = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (!stands_for_itself(byte)) bytes[n++] = static_cast<char>(byte);
  }
  return bytes;
}

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  static constexpr std::array<char, kSubstitutes> substituted = substituted_bytes();
  std::string bytes;
  for (size_t at = 0; at < spelling.size();) {
    const Utf8Char next = decode_utf8(spelling, at);
    const uint32_t code = next.code_point;
    if (code < kFirstSubstitute && stands_for_itself(code)) {
      bytes += static_cast<char>(code);
    } else if (code >= kFirstSubstitute && code < kFirstSubstitute + kSubstitutes) {
      bytes += substituted[code - kFirstSubstitute];
    } else {
      return std::nullopt;
    }
    at += next.size;
  }
  return bytes;
}

}  // namespace headrace
