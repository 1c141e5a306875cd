// Runs a parsed template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/text.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

/// What the template writes, given its variables. `body` and `variables` are only read and may serve several
/// renderings at once. Errors begin with the line.
Result<Text> interpret(const Body& body, const Variables& variables, Runtime& runtime);

}  // namespace headrace::jinja
