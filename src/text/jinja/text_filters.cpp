// Filters on text and numbers.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>

#include "core/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

using TextOperation = Text (*)(const Text&);

Result<Value> map_text(Runtime& runtime, const Value& input, const CallArguments& args, std::string_view name,
                       TextOperation operation) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind(name, args, {}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  Text result = operation(text);
  result.mark_safe(text.is_safe());
  return runtime.text(std::move(result));
}

Result<Value> filter_upper(Runtime& runtime, const Value& input, const CallArguments& args) {
  return map_text(runtime, input, args, "upper", upper);
}
Result<Value> filter_lower(Runtime& runtime, const Value& input, const CallArguments& args) {
  return map_text(runtime, input, args, "lower", lower);
}
Result<Value> filter_capitalize(Runtime& runtime, const Value& input, const CallArguments& args) {
  return map_text(runtime, input, args, "capitalize", capitalize);
}
// jinja2's own rule, different from str.title(): words begin behind white space, a hyphen or an opening
// bracket.
Result<Value> filter_title(Runtime& runtime, const Value& input, const CallArguments& args) {
  return map_text(runtime, input, args, "title", [](const Text& text) {
    return title(text, [](uint32_t c) {
      return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    });
  });
}
Result<Value> filter_string(Runtime& runtime, const Value& input, const CallArguments& args) {
  return map_text(runtime, input, args, "string", [](const Text& text) { return text; });
}

Result<Value> filter_escape(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("escape", args, {}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  return runtime.text(text.is_safe() ? text : escape_html(text));
}
Result<Value> filter_forceescape(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("forceescape", args, {}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  return runtime.text(escape_html(text));
}
Result<Value> filter_safe(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("safe", args, {}));
  HEADRACE_TRY(Text text, to_text(runtime, input));
  text.mark_safe(true);
  return runtime.text(std::move(text));
}

Result<Value> filter_trim(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("trim", args, {"chars"}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  if (!bound.has(0) || bound[0].is_none()) return runtime.text(strip(text, Side::both, std::nullopt));
  HEADRACE_TRY(const Text chars, bound.text(0, ""));
  HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(chars.size() * std::min<size_t>(text.size(), 1024)));
  return runtime.text(strip(text, Side::both, chars.view()));
}

Result<Value> filter_replace(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("replace", args, {"old", "new", "count"}));
  HEADRACE_TRY(const Value old_value, bound.required(0));
  HEADRACE_TRY(const Value new_value, bound.required(1));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  HEADRACE_TRY(const Text old_part, to_text(runtime, old_value));
  HEADRACE_TRY(const Text new_part, to_text(runtime, new_value));
  const bool no_count = !bound.has(2) || bound[2].is_none();
  HEADRACE_TRY(const int64_t count, no_count ? Result<int64_t>(int64_t{-1}) : bound.integer(2, -1));
  HEADRACE_TRY(Text result, replace(runtime, text, old_part.view(), new_part, count));
  result.mark_safe(false);
  return runtime.text(std::move(result));
}

Result<Text> indentation(Runtime& runtime, const Bound& bound, size_t i, int64_t fallback, bool trusted) {
  if (bound.has(i) && bound[i].is_text()) return bound[i].text();
  HEADRACE_TRY(const int64_t width, bound.integer(i, fallback));
  const size_t spaces = static_cast<size_t>(std::max<int64_t>(width, 0));
  HEADRACE_RETURN_IF_ERROR(runtime.fits(spaces));
  return Text(std::string(spaces, ' '), trusted);
}

Result<Value> filter_indent(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("indent", args, {"width", "first", "blank"}));
  if (!input.is_text()) return type_error("'indent' needs a str, not {}", type_name(input));
  HEADRACE_TRY(const bool first, bound.flag(runtime, 1, false));
  HEADRACE_TRY(const bool blank, bound.flag(runtime, 2, false));
  // Line ends and spaces that the filter writes between lines of a message are no more trusted than the
  // lines.
  const bool trusted = input.text().all_trusted();
  HEADRACE_TRY(const Text indent, indentation(runtime, bound, 0, 4, trusted));
  Text whole = input.text();
  whole.append("\n", trusted);
  const std::vector<Text> lines = split_lines(whole, false);
  Text result;
  for (size_t i = 0; i < lines.size(); ++i) {
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(indent.size() + lines[i].size()));
    HEADRACE_RETURN_IF_ERROR(runtime.fits(result.size() + indent.size()));
    if (i > 0) result.append("\n", trusted);
    if (i == 0 ? first : blank || !lines[i].empty()) result.append(indent);
    result.append(lines[i]);
  }
  result.mark_safe(input.text().is_safe());
  return runtime.text(std::move(result));
}

// \w beyond ASCII is taken to be everything but white space and general punctuation.
bool is_word_character(uint32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  return !is_space(c) && !(c >= 0x2000 && c <= 0x206F) && !(c >= 0x3000 && c <= 0x3003) &&
         !(c >= 0xA1 && c <= 0xA9);
}

Result<Value> filter_wordcount(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("wordcount", args, {}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  int64_t words = 0;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.view(), i);
    const bool is_word = is_word_character(c.code_point);
    words += is_word && !in_word ? 1 : 0;
    in_word = is_word;
    i += c.size;
  }
  return Value(words);
}

Result<Value> filter_tojson(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound,
               Bound::bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonFormat format;
  HEADRACE_TRY(format.ensure_ascii, bound.flag(runtime, 0, false));
  HEADRACE_TRY(format.sort_keys, bound.flag(runtime, 3, false));
  if (bound.has(1) && !bound[1].is_none()) {
    HEADRACE_TRY(const Text indent, indentation(runtime, bound, 1, 0, false));
    format.indent = indent.bytes();
    format.item_separator = ",";
  }
  if (bound.has(2) && !bound[2].is_none()) {
    HEADRACE_TRY(const std::vector<Value> separators, elements(runtime, bound[2]));
    if (separators.size() != 2 || !separators[0].is_text() || !separators[1].is_text()) {
      return type_error("'tojson' needs two strings as separators");
    }
    format.item_separator = separators[0].text().bytes();
    format.key_separator = separators[1].text().bytes();
  }
  HEADRACE_TRY(const std::string json, to_json(runtime, input, format));
  return runtime.text(json, false);
}

// What Python's int() and float() make of a string before they look at the digits: no white space around, no
// plus, no underscores between digits. Anything that C++ would read and Python would not comes out empty.
std::string plain_number(const Text& text) {
  const Text stripped = strip(text, Side::both, std::nullopt);
  std::string digits = stripped.bytes();
  if (digits.find_first_of("pPxX(") != std::string::npos) return {};  // hexadecimal, nan(...)
  if (digits.starts_with("+-")) return {};
  if (digits.starts_with('+')) digits.erase(0, 1);
  const auto is_digit = [&digits](size_t i) {
    return i < digits.size() && digits[i] >= '0' && digits[i] <= '9';
  };
  for (size_t i = digits.find('_'); i != std::string::npos; i = digits.find('_', i)) {
    if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) return {};
    digits.erase(i, 1);
  }
  return digits;
}

std::optional<double> parse_real(const Text& text) {
  const std::string digits = plain_number(text);
  double value = 0;
  const char* const stop = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), stop, value);
  if (error == std::errc::invalid_argument || end != stop) return std::nullopt;
  if (error == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return value;
}

Result<std::optional<int64_t>> parse_integer(const Text& text) {
  const std::string digits = plain_number(text);
  int64_t value = 0;
  const char* const stop = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), stop, value);
  if (error == std::errc::invalid_argument || end != stop) return std::optional<int64_t>();
  if (error == std::errc::result_out_of_range) return not_supported("an integer that does not fit 64 bits");
  return std::optional(value);
}

Result<int64_t> truncate(double value) {
  if (!(value >= -0x1p63 && value < 0x1p63)) return not_supported("an integer that does not fit 64 bits");
  return static_cast<int64_t>(value);
}

Result<Value> filter_int(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("int", args, {"default", "base"}));
  const Value fallback = bound.has(0) ? bound[0] : Value(int64_t{0});
  if (input.is_undefined()) return type_error("{}", input.why_undefined());
  if (input.is_integral()) return Value(input.integer());
  std::optional<double> real;
  if (input.is(Kind::real)) real = input.real();
  if (input.is_text()) {
    HEADRACE_TRY(const int64_t base, bound.integer(1, 10));
    if (base != 10) return not_supported("'int' with base {} is not supported", base);
    HEADRACE_TRY(const std::optional<int64_t> integer, parse_integer(input.text()));
    if (integer) return Value(*integer);
    real = parse_real(input.text());
  }
  if (!real || std::isnan(*real) || (std::isinf(*real) && input.is_text())) return fallback;
  HEADRACE_TRY(const int64_t value, truncate(*real));
  return Value(value);
}

Result<Value> filter_float(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("float", args, {"default"}));
  if (input.is_undefined()) return type_error("{}", input.why_undefined());
  if (input.is_number()) return Value(input.real());
  const std::optional<double> real = input.is_text() ? parse_real(input.text()) : std::nullopt;
  if (real) return Value(*real);
  return bound.has(0) ? bound[0] : Value(0.0);
}

Result<Value> filter_abs(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("abs", args, {}));
  if (input.is(Kind::real)) return Value(std::fabs(input.real()));
  if (input.is_integral() && input.integer() >= 0) return Value(input.integer());
  return negate(input);
}

Result<Value> filter_round(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("round", args, {"precision", "method"}));
  HEADRACE_TRY(const int64_t precision, bound.integer(0, 0));
  HEADRACE_TRY(const Text method, bound.text(1, "common"));
  if (!input.is_number()) return type_error("'round' needs a number, not {}", type_name(input));
  constexpr int64_t kMaxPrecision = 300;
  if (precision < 0 || precision > kMaxPrecision)
    return not_supported("'round' to {} places is not supported", precision);
  if (method.view() == "common") {
    if (input.is_integral()) return Value(input.integer());
    if (!std::isfinite(input.real())) return input;
    // Printing rounds the exact binary value, ties to even, which is what Python's round() does.
    return Value(std::strtod(fmt::format("{:.{}f}", input.real(), precision).c_str(), nullptr));
  }
  if (method.view() != "ceil" && method.view() != "floor")
    return type_error("'round' knows common, ceil and floor");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.real() * scale;
  return Value((method.view() == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr std::array<NamedFilter, 18> kFilters = {{
    {"abs", filter_abs},
    {"capitalize", filter_capitalize},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"float", filter_float},
    {"forceescape", filter_forceescape},
    {"indent", filter_indent},
    {"int", filter_int},
    {"lower", filter_lower},
    {"replace", filter_replace},
    {"round", filter_round},
    {"safe", filter_safe},
    {"string", filter_string},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"upper", filter_upper},
    {"wordcount", filter_wordcount},
}};

}  // namespace

std::span<const NamedFilter> text_filters() {
  return kFilters;
}

}  // namespace headrace::jinja
