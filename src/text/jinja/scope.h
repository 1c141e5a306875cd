// Variables in view.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

/// One level of variables. Names are views of the template or of the caller's variables.
struct Scope : Object {
  explicit Scope(Scope* p) : parent(p) {}

  /// The value in this level, or nullptr.
  Value* find(std::string_view name) {
    for (auto& [key, value] : variables) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  void set(std::string_view name, const Value& value) {
    if (Value* old = find(name)) {
      *old = value;
    } else {
      variables.emplace_back(name, value);
    }
  }

  Scope* parent;
  std::vector<std::pair<std::string_view, Value>> variables;
  bool captured = false;  // a macro defined here still looks at it, so it can't be used again
};

/// A macro together with the scope that it was defined in.
struct Macro : Object {
  Macro(const MacroDefinition* d, Scope* s) : definition(d), scope(s) {}
  const MacroDefinition* definition;
  Scope* scope;
};

}  // namespace headrace::jinja
