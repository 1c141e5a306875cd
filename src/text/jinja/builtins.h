// The filters, tests, methods and functions that templates can name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

/// The evaluated arguments of a call.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

/// The arguments of a builtin, matched to its parameters.
class Bound {
 public:
  /// Fails with usage, as Python does, on too many arguments and on names that are unknown or given twice.
  static Result<Bound> bind(std::string_view callee, const CallArguments& args,
                            std::initializer_list<std::string_view> names);

  bool has(size_t i) const { return values_[i].has_value(); }
  const Value& operator[](size_t i) const { return *values_[i]; }
  /// The argument, or an error that it is missing.
  Result<Value> required(size_t i) const;
  /// The argument's truth, or the default.
  Result<bool> flag(Runtime& runtime, size_t i, bool fallback) const;
  Result<int64_t> integer(size_t i, int64_t fallback) const;
  Result<Text> text(size_t i, std::string_view fallback) const;

 private:
  std::string_view callee_;
  std::vector<std::string_view> names_;
  std::vector<std::optional<Value>> values_;
};

using Filter = Result<Value> (*)(Runtime&, const Value& input, const CallArguments&);
using Test = Result<bool> (*)(Runtime&, const Value& input, const CallArguments&);

struct Function {
  std::string_view name;
  Result<Value> (*call)(Runtime&, const CallArguments&);
};

/// nullptr if there is none of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
const Function* find_function(std::string_view name);

/// The same with an error that names what is missing.
Result<Value> apply_filter(Runtime& runtime, std::string_view name, const Value& input,
                           const CallArguments& args);
Result<bool> apply_test(Runtime& runtime, std::string_view name, const Value& input,
                        const CallArguments& args);

/// Sets an attribute of a namespace, as {% set ns.name = value %} does.
Status set_attribute(Runtime& runtime, Namespace& name_space, const std::string& name, const Value& value);

/// Whether Python's type of the value has a method of that name, supported by call_method or not.
bool has_method(const Value& receiver, std::string_view name);
/// Whether the sandbox hides it, for it would change the value.
bool is_mutating_method(const Value& receiver, std::string_view name);
Result<Value> call_method(Runtime& runtime, const Value& receiver, std::string_view name,
                          const CallArguments& args);

/// str.format(): fields by position or name, without format specifications and attributes.
Result<Value> format_text(Runtime& runtime, const Text& self, const CallArguments& args);

// The tables behind find_filter, one per file.
struct NamedFilter {
  std::string_view name;
  Filter filter;
};
std::span<const NamedFilter> text_filters();
std::span<const NamedFilter> sequence_filters();

}  // namespace headrace::jinja
