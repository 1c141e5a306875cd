// Tokens to tree.
#pragma once

#include <string_view>

#include "core/result.h"
#include "text/jinja/ast.h"

namespace headrace::jinja {

/// Parses a template of valid UTF-8, at most kMaxTemplateBytes long. Errors begin with the line: bad_model
/// for syntax, unsupported for a tag, filter or test that jinja2 has and we do not (one that stands under a
/// condition is refused only when it is reached, as in jinja2), out_of_budget for nesting beyond kMaxNesting.
Result<Body> parse_template(std::string_view source);

}  // namespace headrace::jinja
