#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "core/utf8.h"
#include "text/jinja/python.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

void append_escaped(std::string& out, uint32_t c) {
  if (c < 0x100) {
    out += fmt::format("\\x{:02x}", c);
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", c);
  } else {
    out += fmt::format("\\U{:08x}", c);
  }
}

std::string repr_text(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text, i);
    if (c.code_point == '\n') {
      out += "\\n";
    } else if (c.code_point == '\r') {
      out += "\\r";
    } else if (c.code_point == '\t') {
      out += "\\t";
    } else if (c.code_point == '\\' || c.code_point == static_cast<uint32_t>(quote)) {
      out += '\\';
      out += text[i];
    } else if (!is_printable(c.code_point)) {
      append_escaped(out, c.code_point);
    } else {
      out += text.substr(i, c.size);
    }
    i += c.size;
  }
  out += quote;
  return out;
}

class Printer {
 public:
  explicit Printer(Runtime& runtime) : runtime_(runtime) {}

  Status append(const Value& value);
  std::string take() { return std::move(out_); }

 private:
  Status append_sequence(const Sequence& sequence);
  Status append_dict(const Dict& dict);

  Runtime& runtime_;
  std::string out_;
};

Status Printer::append(const Value& value) {
  const Nested level(runtime_);
  HEADRACE_RETURN_IF_ERROR(level.status());
  HEADRACE_RETURN_IF_ERROR(runtime_.work(1));
  HEADRACE_RETURN_IF_ERROR(runtime_.fits(out_.size()));
  switch (value.kind()) {
    case Kind::undefined:
      out_ += "Undefined";
      return {};
    case Kind::none:
      out_ += "None";
      return {};
    case Kind::boolean:
      out_ += value.boolean() ? "True" : "False";
      return {};
    case Kind::integer:
      out_ += std::to_string(value.integer());
      return {};
    case Kind::real:
      out_ += format_real(value.real());
      return {};
    case Kind::text: {
      HEADRACE_RETURN_IF_ERROR(runtime_.work_on_bytes(value.text().size()));
      out_ += repr_text(value.text().view());
      return {};
    }
    case Kind::sequence:
      return append_sequence(value.sequence());
    case Kind::dict:
      return append_dict(value.dict());
    default:
      return not_supported("printing a {} is not supported", type_name(value));
  }
}

Status Printer::append_sequence(const Sequence& sequence) {
  const bool is_list = sequence.flavor == Sequence::Flavor::list;
  if (!is_list && sequence.flavor != Sequence::Flavor::tuple) {
    return not_supported("printing a {} is not supported", type_name(Value(&sequence)));
  }
  out_ += is_list ? '[' : '(';
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out_ += ", ";
    HEADRACE_RETURN_IF_ERROR(append(sequence.items[i]));
  }
  if (!is_list && sequence.items.size() == 1) out_ += ',';
  out_ += is_list ? ']' : ')';
  return {};
}

Status Printer::append_dict(const Dict& dict) {
  out_ += '{';
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out_ += ", ";
    HEADRACE_RETURN_IF_ERROR(append(dict.entries[i].first));
    out_ += ": ";
    HEADRACE_RETURN_IF_ERROR(append(dict.entries[i].second));
  }
  out_ += '}';
  return {};
}

}  // namespace

// Python's repr: the shortest digits that read back as the same value, positional from 1e-4 up to 1e16.
std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = text.find('e');
  int exponent = 0;
  const size_t exponent_at = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + exponent_at, text.data() + text.size(), exponent);
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = text[0] == '-' ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

Result<std::string> repr(Runtime& runtime, const Value& value) {
  Printer printer(runtime);
  HEADRACE_RETURN_IF_ERROR(printer.append(value));
  return printer.take();
}

Result<Text> to_text(Runtime& runtime, const Value& value) {
  if (value.is_text()) {
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(value.text().size()));
    return value.text();
  }
  if (value.is_undefined()) return Text();
  HEADRACE_TRY(const std::string printed, repr(runtime, value));
  return Text(printed, false);
}

}  // namespace headrace::jinja
