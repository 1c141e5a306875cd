// Tokens of a template.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace headrace::jinja {

enum class TokenKind : uint8_t {
  data,  // literal text outside of tags, whitespace control already applied
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,  // text holds the value, escapes resolved
  integer,
  real,
  op,
  end,
};

struct Token {
  TokenKind kind;
  uint32_t line;
  std::string text;
};

/// "line 12: what went wrong"; ChatTemplate puts the template's name in front.
template <typename... Args>
Error error_at(uint32_t line, Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format("line {}: {}", line, fmt::format(format, std::forward<Args>(args)...))};
}

/// Splits a template (valid UTF-8) as jinja2 does with trim_blocks and lstrip_blocks on. Errors are bad_model
/// and begin with the line.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace headrace::jinja
