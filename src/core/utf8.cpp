#include "core/utf8.h"

#include <algorithm>

namespace headrace {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

struct Lead {
  size_t size;        // bytes of the whole character, 0 if this byte starts none
  unsigned char low;  // allowed range of the second byte (Unicode standard, table 3-7)
  unsigned char high;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes at `at` form a correct beginning of a character (0 if the first byte starts none).
size_t good_bytes(std::string_view text, size_t at, const Lead& lead) {
  size_t good = lead.size == 0 ? 0 : 1;
  while (good > 0 && good < lead.size && at + good < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at + good]);
    const unsigned char low = good == 1 ? lead.low : 0x80;
    const unsigned char high = good == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) break;
    ++good;
  }
  return good;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, size_t at) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
  const size_t good = good_bytes(text, at, lead);
  if (lead.size == 0 || good < lead.size) return {kReplacement, std::max<size_t>(good, 1), false};
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])); };
  uint32_t code = byte(0);
  if (lead.size > 1) code &= 0x7Fu >> lead.size;
  for (size_t i = 1; i < lead.size; ++i) code = code << 6 | (byte(i) & 0x3F);
  return {code, lead.size, true};
}

void append_utf8(std::string& out, uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = kReplacement;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    if (!next.valid) return false;
    at += next.size;
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    append_utf8(out, next.code_point);
    at += next.size;
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  // Only the last three bytes can be the beginning of an unfinished character.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t at = text.size() - back;
    const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
    if (lead.size == 0) continue;
    if (lead.size > back && good_bytes(text, at, lead) == back) return at;
    return text.size();
  }
  return text.size();
}

}  // namespace headrace
