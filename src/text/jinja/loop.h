// The `loop` variable.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

struct CallArguments;

/// The interpreter implements it: some attributes look ahead, which may evaluate the loop's condition.
struct Loop : Object {
  /// loop.index and so on; nothing if there is no such attribute.
  virtual Result<std::optional<Value>> attribute(std::string_view name) = 0;
  /// loop.cycle(...), loop.changed(...)
  virtual Result<Value> call(std::string_view method, const CallArguments& args) = 0;
};

}  // namespace headrace::jinja
