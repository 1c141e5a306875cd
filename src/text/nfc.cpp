#include "text/nfc.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include <utf8proc.h>

#include "core/utf8.h"

namespace headrace {
namespace {

// Also asks utf8proc_decompose_char() for canonical decompositions: it has no other use for this option.
constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

constexpr size_t kMaxDecomposition = 32;  // characters; the longest canonical one has 4

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

int combining_class(int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Characters that compose with the one before them: conjoining vowels and final consonants of Hangul.
bool is_later_jamo(uint32_t code_point) {
  return (code_point >= 0x1160 && code_point <= 0x11FF) || (code_point >= 0xD7B0 && code_point <= 0xD7FF);
}

std::vector<int32_t> decompose(std::string_view text) {
  std::vector<int32_t> out;
  out.reserve(text.size());
  std::array<int32_t, kMaxDecomposition> parts{};
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    const auto code = static_cast<int32_t>(next.code_point);
    int last_boundary = UTF8PROC_BOUNDCLASS_START;
    const auto n = utf8proc_decompose_char(code, parts.data(), parts.size(), kCompose, &last_boundary);
    if (n < 0 || static_cast<size_t>(n) > parts.size()) {
      out.push_back(code);
    } else {
      out.insert(out.end(), parts.begin(), parts.begin() + n);
    }
    at += next.size;
  }
  return out;
}

// utf8proc's own sort takes quadratic time, and a text may be nothing but marks.
void order_marks(std::vector<int32_t>& code_points) {
  const auto is_starter = [](int32_t code) { return combining_class(code) == 0; };
  for (auto at = code_points.begin(); at != code_points.end();) {
    const auto begin = std::find_if_not(at, code_points.end(), is_starter);
    at = std::find_if(begin, code_points.end(), is_starter);
    std::ranges::stable_sort(begin, at, {}, combining_class);
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::vector<int32_t> code_points = decompose(text);
  order_marks(code_points);
  const auto n = utf8proc_normalize_utf32(code_points.data(),
                                          static_cast<utf8proc_ssize_t>(code_points.size()), kCompose);
  if (n >= 0) code_points.resize(static_cast<size_t>(n));
  std::string out;
  out.reserve(text.size());
  for (const int32_t code : code_points) append_utf8(out, static_cast<uint32_t>(code));
  return out;
}

bool joins_what_comes_before(uint32_t code_point) {
  if (code_point < 0x80) return false;
  if (is_later_jamo(code_point)) return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<int32_t>(code_point));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME || combining_class(static_cast<int32_t>(code_point)) != 0;
}

}  // namespace headrace
