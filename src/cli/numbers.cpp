#include "cli/numbers.h"

#include <cmath>
#include <limits>

namespace headrace::cli {
namespace {

std::optional<char> simple_escape(char letter) {
  switch (letter) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '\\':
    case '\'':
    case '"':
      return letter;
    default:
      return std::nullopt;
  }
}

std::optional<char> hex_escape(std::string_view text) {
  if (text.size() < 3 || text[0] != 'x') return std::nullopt;
  unsigned char byte = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + 3, byte, 16);
  if (error != std::errc() || end != text.data() + 3) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

std::optional<uint64_t> parse_bytes(std::string_view text) {
  if (text.ends_with('B')) text.remove_suffix(1);
  if (text.ends_with('i')) text.remove_suffix(1);
  constexpr std::string_view kSuffixes = "KMGT";
  double unit = 1;
  if (!text.empty()) {
    const size_t power = kSuffixes.find(static_cast<char>(text.back() & ~0x20));
    if (power != std::string_view::npos) {
      unit = std::pow(1024.0, static_cast<double>(power) + 1);
      text.remove_suffix(1);
    }
  }
  const std::optional<double> number = parse_number<double>(text);
  if (!number || !(*number >= 0)) return std::nullopt;
  const double bytes = *number * unit;
  if (bytes >= 0x1p63) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

std::optional<std::pair<int32_t, float>> parse_logit_bias(std::string_view text) {
  const size_t sign = text.find_first_of("+-", 1);
  if (text.empty() || sign == std::string_view::npos) return std::nullopt;
  const auto token = parse_number<int32_t>(text.substr(0, sign));
  const auto bias = parse_number<float>(text.substr(sign));
  if (!token || *token < 0 || !bias || std::isnan(*bias)) return std::nullopt;
  if (*bias == std::numeric_limits<float>::infinity()) return std::nullopt;
  return std::pair(*token, *bias);
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i + 1);
    if (text[i] != '\\' || rest.empty()) {
      out += text[i];
    } else if (const auto simple = simple_escape(rest[0])) {
      out += *simple;
      i += 1;
    } else if (const auto byte = hex_escape(rest)) {
      out += *byte;
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace headrace::cli
