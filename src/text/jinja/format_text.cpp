// str.format()
#include <charconv>
#include <optional>
#include <string_view>

#include "core/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

class Formatter {
 public:
  Formatter(Runtime& runtime, const Text& self, const CallArguments& args)
      : runtime_(runtime), self_(self), args_(args) {}

  Result<Text> run();

 private:
  Status append_field(std::string_view field);
  Result<Value> argument(std::string_view name);
  Result<Value> positional(size_t index) const;

  Runtime& runtime_;
  const Text& self_;
  const CallArguments& args_;
  Text out_;
  size_t next_ = 0;  // the position that {} takes
  bool counts_ = false;
  bool numbers_ = false;
};

Result<Text> Formatter::run() {
  const std::string_view text = self_.view();
  for (size_t at = 0; at < text.size();) {
    const size_t brace = std::min(text.find_first_of("{}", at), text.size());
    out_.append(self_, at, brace);
    if (brace == text.size()) break;
    if (brace + 1 < text.size() && text[brace + 1] == text[brace]) {
      out_.append(self_, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    if (text[brace] == '}') return type_error("a single '}}' in the text of 'format'");
    const size_t end = text.find_first_of("{}", brace + 1);
    if (end == std::string_view::npos) return type_error("a '{{' without '}}' in the text of 'format'");
    if (text[end] == '{') return not_supported("'format' with fields inside of fields is not supported");
    HEADRACE_RETURN_IF_ERROR(append_field(text.substr(brace + 1, end - brace - 1)));
    at = end + 1;
  }
  return std::move(out_);
}

Status Formatter::append_field(std::string_view field) {
  if (field.find_first_of(".[:!") != std::string_view::npos)
    return not_supported("'format' with the field {{{}}} is not supported", printable(field));
  HEADRACE_TRY(const Value value, argument(field));
  HEADRACE_TRY(const Text text, to_text(runtime_, value));
  HEADRACE_RETURN_IF_ERROR(runtime_.fits(out_.size() + text.size()));
  out_.append(text);
  return {};
}

Result<Value> Formatter::argument(std::string_view name) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_number = !name.empty() && error == std::errc() && end == name.data() + name.size();
  counts_ = counts_ || name.empty();
  numbers_ = numbers_ || is_number;
  if (counts_ && numbers_) return type_error("'format' with both counted and numbered fields");
  if (name.empty()) return positional(next_++);
  if (is_number) return positional(index);
  for (const auto& [key, value] : args_.named) {
    if (key == name) return value;
  }
  return type_error("'format' has no argument '{}'", printable(name));
}

Result<Value> Formatter::positional(size_t index) const {
  if (index < args_.positional.size()) return args_.positional[index];
  return type_error("'format' has no argument {}", index);
}

}  // namespace

Result<Value> format_text(Runtime& runtime, const Text& self, const CallArguments& args) {
  HEADRACE_TRY(Text text, Formatter(runtime, self, args).run());
  return runtime.text(std::move(text));
}

}  // namespace headrace::jinja
