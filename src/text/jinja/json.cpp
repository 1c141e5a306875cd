#include <cmath>
#include <string>
#include <vector>

#include "core/utf8.h"
#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

void append_json_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text, i);
    switch (c.code_point) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (c.code_point < 0x20 || (ensure_ascii && c.code_point >= 0x7F && c.code_point < 0x10000)) {
          out += fmt::format("\\u{:04x}", c.code_point);
        } else if (ensure_ascii && c.code_point >= 0x10000) {
          const uint32_t offset = c.code_point - 0x10000;
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
        } else {
          out += text.substr(i, c.size);
        }
    }
    i += c.size;
  }
  out += '"';
}

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return format_real(value);
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonFormat& format) : runtime_(runtime), format_(format) {}

  Status append(const Value& value);
  std::string take() { return std::move(out_); }

 private:
  Status append_list(const Sequence& sequence);
  Status append_dict(const Dict& dict);
  Status append_key(const Value& key);
  Result<std::vector<Dict::Entry>> ordered(const Dict& dict);
  Status new_line();

  Runtime& runtime_;
  const JsonFormat& format_;
  std::string out_;
  size_t level_ = 0;
};

Status JsonWriter::append(const Value& value) {
  const Nested level(runtime_);
  HEADRACE_RETURN_IF_ERROR(level.status());
  HEADRACE_RETURN_IF_ERROR(runtime_.work(1));
  HEADRACE_RETURN_IF_ERROR(runtime_.fits(out_.size()));
  switch (value.kind()) {
    case Kind::none:
      out_ += "null";
      return {};
    case Kind::boolean:
      out_ += value.boolean() ? "true" : "false";
      return {};
    case Kind::integer:
      out_ += std::to_string(value.integer());
      return {};
    case Kind::real:
      out_ += json_real(value.real());
      return {};
    case Kind::text: {
      HEADRACE_RETURN_IF_ERROR(runtime_.work_on_bytes(value.text().size()));
      append_json_string(out_, value.text().view(), format_.ensure_ascii);
      return {};
    }
    case Kind::sequence:
      if (value.sequence().flavor == Sequence::Flavor::list ||
          value.sequence().flavor == Sequence::Flavor::tuple) {
        return append_list(value.sequence());
      }
      break;
    case Kind::dict:
      return append_dict(value.dict());
    case Kind::undefined:
      return type_error("{}", value.why_undefined());
    default:
      break;
  }
  return type_error("{} can't be written as JSON", type_name(value));
}

Status JsonWriter::new_line() {
  if (!format_.indent) return {};
  HEADRACE_RETURN_IF_ERROR(runtime_.fits(out_.size() + level_ * format_.indent->size()));
  HEADRACE_RETURN_IF_ERROR(runtime_.work_on_bytes(level_ * format_.indent->size()));
  out_ += '\n';
  for (size_t i = 0; i < level_; ++i) out_ += *format_.indent;
  return {};
}

Status JsonWriter::append_list(const Sequence& sequence) {
  if (sequence.items.empty()) {
    out_ += "[]";
    return {};
  }
  out_ += '[';
  ++level_;
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out_ += format_.item_separator;
    HEADRACE_RETURN_IF_ERROR(new_line());
    HEADRACE_RETURN_IF_ERROR(append(sequence.items[i]));
  }
  --level_;
  HEADRACE_RETURN_IF_ERROR(new_line());
  out_ += ']';
  return {};
}

Result<std::vector<Dict::Entry>> JsonWriter::ordered(const Dict& dict) {
  if (!format_.sort_keys) return dict.entries;
  std::vector<Value> keys;
  std::vector<Value> positions;
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    keys.push_back(dict.entries[i].first);
    positions.push_back(Value(static_cast<int64_t>(i)));
  }
  HEADRACE_TRY(const std::vector<Value> order, sort_by(runtime_, positions, keys, false));
  std::vector<Dict::Entry> entries;
  for (const Value& position : order)
    entries.push_back(dict.entries[static_cast<size_t>(position.integer())]);
  return entries;
}

Status JsonWriter::append_dict(const Dict& dict) {
  if (dict.entries.empty()) {
    out_ += "{}";
    return {};
  }
  HEADRACE_TRY(const std::vector<Dict::Entry> entries, ordered(dict));
  out_ += '{';
  ++level_;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out_ += format_.item_separator;
    HEADRACE_RETURN_IF_ERROR(new_line());
    HEADRACE_RETURN_IF_ERROR(append_key(entries[i].first));
    out_ += format_.key_separator;
    HEADRACE_RETURN_IF_ERROR(append(entries[i].second));
  }
  --level_;
  HEADRACE_RETURN_IF_ERROR(new_line());
  out_ += '}';
  return {};
}

Status JsonWriter::append_key(const Value& key) {
  switch (key.kind()) {
    case Kind::text:
      return append(key);
    case Kind::none:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      out_ += '"';
      HEADRACE_RETURN_IF_ERROR(append(key));
      out_ += '"';
      return {};
    default:
      return type_error("a key of type {} can't be written as JSON", type_name(key));
  }
}

}  // namespace

Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonFormat& format) {
  JsonWriter writer(runtime, format);
  HEADRACE_RETURN_IF_ERROR(writer.append(value));
  return writer.take();
}

}  // namespace headrace::jinja
