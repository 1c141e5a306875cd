// The parser's view of the tokens.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/jinja/token.h"

namespace headrace::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& next_token() const { return tokens_[position_ + (position_ + 1 < tokens_.size() ? 1 : 0)]; }
  uint32_t line() const { return current().line; }
  Token take() {
    Token token = std::move(tokens_[position_]);
    tokens_[position_].line = token.line;
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }

  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_op(std::string_view op) const { return at(TokenKind::op) && current().text == op; }
  bool at_name(std::string_view name) const { return at(TokenKind::name) && current().text == name; }
  bool skip_op(std::string_view op) { return at_op(op) && skip(); }
  bool skip_name(std::string_view name) { return at_name(name) && skip(); }

  Status expect_op(std::string_view op);
  Status expect_name(std::string_view name);
  Status expect(TokenKind kind);
  /// Any name.
  Result<std::string> take_name();

  /// bad_model at the current line: "expected X, found Y".
  Error unexpected(std::string_view expected) const;

 private:
  bool skip() {
    take();
    return true;
  }

  std::vector<Token> tokens_;  // ends in TokenKind::end, which is never passed
  size_t position_ = 0;
};

}  // namespace headrace::jinja
