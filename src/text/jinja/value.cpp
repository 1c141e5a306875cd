#include "text/jinja/value.h"

#include <fmt/format.h>

#include "core/file.h"

namespace headrace::jinja {

std::string Value::why_undefined() const {
  if (hint_ == nullptr) return "the value is undefined";
  if (hint_is_sentence_) return *hint_;
  return fmt::format("'{}' is undefined", printable(*hint_));
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.is_text() && name.text().view() == key) return &value;
  }
  return nullptr;
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::undefined:
      return "undefined";
    case Value::Kind::none:
      return "None";
    case Value::Kind::boolean:
      return "bool";
    case Value::Kind::integer:
      return "int";
    case Value::Kind::real:
      return "float";
    case Value::Kind::text:
      return "str";
    case Value::Kind::sequence:
      switch (value.sequence().flavor) {
        case Sequence::Flavor::list:
          return "list";
        case Sequence::Flavor::tuple:
          return "tuple";
        case Sequence::Flavor::range:
          return "range";
        case Sequence::Flavor::view:
          return "dict view";
        case Sequence::Flavor::iterator:
          return "iterator";
      }
      return "sequence";
    case Value::Kind::dict:
      return "dict";
    case Value::Kind::name_space:
      return "namespace";
    case Value::Kind::macro:
      return "macro";
    case Value::Kind::loop:
      return "loop";
    case Value::Kind::method:
      return "method";
    case Value::Kind::function:
      return "function";
  }
  return "value";
}

}  // namespace headrace::jinja
