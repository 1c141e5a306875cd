#include <algorithm>

#include "core/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"

namespace headrace::jinja {

Result<Bound> Bound::bind(std::string_view callee, const CallArguments& args,
                          std::initializer_list<std::string_view> names) {
  Bound bound;
  bound.callee_ = callee;
  bound.names_ = names;
  bound.values_.resize(names.size());
  if (args.positional.size() > names.size()) {
    return type_error("'{}' takes at most {} arguments, not {}", callee, names.size(),
                      args.positional.size());
  }
  for (size_t i = 0; i < args.positional.size(); ++i) bound.values_[i] = args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto place = std::find(names.begin(), names.end(), name);
    if (place == names.end()) return type_error("'{}' takes no argument '{}'", callee, printable(name));
    std::optional<Value>& slot = bound.values_[static_cast<size_t>(place - names.begin())];
    if (slot) return type_error("'{}' got its argument '{}' twice", callee, name);
    slot = value;
  }
  return bound;
}

Result<Value> Bound::required(size_t i) const {
  if (!values_[i]) return type_error("'{}' needs its argument '{}'", callee_, names_[i]);
  return *values_[i];
}

Result<bool> Bound::flag(Runtime& runtime, size_t i, bool fallback) const {
  if (!values_[i]) return fallback;
  return truth(runtime, *values_[i]);
}

Result<int64_t> Bound::integer(size_t i, int64_t fallback) const {
  if (!values_[i]) return fallback;
  if (values_[i]->is_undefined()) return type_error("{}", values_[i]->why_undefined());
  if (!values_[i]->is_integral()) {
    return type_error("'{}' needs an int for '{}', not {}", callee_, names_[i], type_name(*values_[i]));
  }
  return values_[i]->integer();
}

Result<Text> Bound::text(size_t i, std::string_view fallback) const {
  if (!values_[i]) return Text(fallback, true);
  if (values_[i]->is_undefined()) return type_error("{}", values_[i]->why_undefined());
  if (!values_[i]->is_text()) {
    return type_error("'{}' needs a str for '{}', not {}", callee_, names_[i], type_name(*values_[i]));
  }
  return values_[i]->text();
}

}  // namespace headrace::jinja
