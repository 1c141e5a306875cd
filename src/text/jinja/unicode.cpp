#include "text/jinja/unicode.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "core/utf8.h"

namespace headrace::jinja {
namespace {

struct CaseRange {
  uint32_t first;
  uint32_t last;
  uint32_t step;
  int32_t delta;
};

// Unicode 14's simple mappings beyond ASCII; unicode_case.py writes the file.
#include "text/jinja/unicode_case.inc"

uint32_t mapped(std::span<const CaseRange> ranges, uint32_t c) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](uint32_t value, const CaseRange& r) { return value < r.first; });
  if (after == ranges.begin()) return c;
  const CaseRange& range = *std::prev(after);
  if (c > range.last || (c - range.first) % range.step != 0) return c;
  return static_cast<uint32_t>(static_cast<int32_t>(c) + range.delta);
}

struct Range {
  uint32_t first;
  uint32_t last;
};

// Categories Cc, Cf, Cs, Co, Zl, Zp and Zs, the space excepted.
constexpr Range kNotPrintable[] = {
    {0x0, 0x1F},        {0x7F, 0xA0},       {0xAD, 0xAD},         {0x600, 0x605},     {0x61C, 0x61C},
    {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},       {0x8E2, 0x8E2},     {0x1680, 0x1680},
    {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},     {0x205F, 0x2064},   {0x2066, 0x206F},
    {0x3000, 0x3000},   {0xD800, 0xF8FF},   {0xFEFF, 0xFEFF},     {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},
    {0x110CD, 0x110CD}, {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3},   {0x1D173, 0x1D17A}, {0xE0001, 0xE0001},
    {0xE0020, 0xE007F}, {0xF0000, 0xFFFFD}, {0x100000, 0x10FFFD},
};

constexpr uint32_t kSharpS = 0xDF;

}  // namespace

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_printable(uint32_t c) {
  return std::none_of(std::begin(kNotPrintable), std::end(kNotPrintable),
                      [c](const Range& r) { return c >= r.first && c <= r.last; });
}

uint32_t to_lower(uint32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  return mapped(kLower, c);
}

uint32_t to_upper(uint32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  return mapped(kUpper, c);
}

void append_upper(std::string& out, uint32_t c) {
  if (c == kSharpS) {
    out += "SS";
  } else {
    append_utf8(out, to_upper(c));
  }
}

}  // namespace headrace::jinja
