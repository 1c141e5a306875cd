#include "text/jinja/token_stream.h"

#include "core/file.h"

namespace headrace::jinja {
namespace {

std::string describe(TokenKind kind) {
  switch (kind) {
    case TokenKind::data:
      return "text";
    case TokenKind::variable_begin:
      return "'{{'";
    case TokenKind::variable_end:
      return "'}}'";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::name:
      return "a name";
    case TokenKind::string:
      return "a string";
    case TokenKind::integer:
    case TokenKind::real:
      return "a number";
    case TokenKind::op:
      return "an operator";
    case TokenKind::end:
      return "the end of the template";
  }
  return "a token";
}

}  // namespace

Error TokenStream::unexpected(std::string_view expected) const {
  const Token& found = current();
  const bool has_text = found.kind == TokenKind::name || found.kind == TokenKind::op ||
                        found.kind == TokenKind::integer || found.kind == TokenKind::real;
  return error_at(found.line, Errc::bad_model, "expected {}, found {}", expected,
                  has_text ? fmt::format("'{}'", printable(found.text)) : describe(found.kind));
}

Status TokenStream::expect_op(std::string_view op) {
  if (!skip_op(op)) return unexpected(fmt::format("'{}'", op));
  return {};
}

Status TokenStream::expect_name(std::string_view name) {
  if (!skip_name(name)) return unexpected(fmt::format("'{}'", name));
  return {};
}

Status TokenStream::expect(TokenKind kind) {
  if (!at(kind)) return unexpected(describe(kind));
  take();
  return {};
}

Result<std::string> TokenStream::take_name() {
  if (!at(TokenKind::name)) return unexpected("a name");
  return take().text;
}

}  // namespace headrace::jinja
