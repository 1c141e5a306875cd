#include "text/jinja/parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/utf8.h"
#include "text/jinja/expression_parser.h"
#include "text/jinja/limits.h"
#include "text/jinja/token_stream.h"

namespace headrace::jinja {
namespace {

// Tags of jinja2 that chat templates have no use for.
constexpr std::array<std::string_view, 9> kUnsupportedTags = {
    "autoescape", "block", "do", "extends", "from", "import", "include", "print", "trans"};

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  /// Statements up to one of the tags in `ends`, whose name is left as the current token; with no ends, up to
  /// the end of the template.
  Result<Body> body(std::initializer_list<std::string_view> ends, std::string_view opened_by = {},
                    uint32_t line = 0);

 private:
  /// The rest of an opening tag, the body, and the closing tag's name.
  Result<Body> block(std::string_view tag, uint32_t line, std::string_view end);
  Result<Statement> statement();
  Result<Statement> if_statement(uint32_t line);
  Result<Statement> for_statement(uint32_t line);
  Result<Statement> set_statement(uint32_t line);
  Result<Statement> with_statement(uint32_t line);
  Result<Statement> call_block(uint32_t line);
  Result<MacroDefinition> macro(std::string name, std::string_view tag, uint32_t line);
  Result<std::vector<Parameter>> parameters();
  Result<Target> target(bool with_attribute);
  Result<Target> target_atom(bool with_attribute);

  TokenStream tokens_;
  ExpressionParser expressions_;
  size_t loops_ = 0;
};

Result<Body> StatementParser::body(std::initializer_list<std::string_view> ends, std::string_view opened_by,
                                   uint32_t line) {
  const ExpressionParser::Level level(expressions_);
  HEADRACE_RETURN_IF_ERROR(expressions_.nested());
  Body body;
  while (!tokens_.at(TokenKind::end)) {
    if (tokens_.at(TokenKind::data)) {
      const Token token = tokens_.take();
      body.push_back({token.line, OutputText{Text(token.text, true)}});
    } else if (tokens_.at(TokenKind::variable_begin)) {
      const uint32_t start = tokens_.take().line;
      HEADRACE_TRY(ExprPtr value, expressions_.tuple(true));
      HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::variable_end));
      body.push_back({start, OutputValue{std::move(value)}});
    } else {
      HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::block_begin));
      if (std::any_of(ends.begin(), ends.end(),
                      [this](std::string_view end) { return tokens_.at_name(end); })) {
        return body;
      }
      HEADRACE_TRY(Statement next, statement());
      HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::block_end));
      body.push_back(std::move(next));
    }
  }
  if (ends.size() != 0) return error_at(line, Errc::bad_model, "'{}' is never closed", opened_by);
  return body;
}

Result<Body> StatementParser::block(std::string_view tag, uint32_t line, std::string_view end) {
  tokens_.skip_op(":");
  HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::block_end));
  HEADRACE_TRY(Body inner, body({end}, tag, line));
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_name(end));
  return inner;
}

Result<Statement> StatementParser::statement() {
  const uint32_t line = tokens_.line();
  HEADRACE_TRY(const std::string tag, tokens_.take_name());
  if (tag == "if") return if_statement(line);
  if (tag == "for") return for_statement(line);
  if (tag == "set") return set_statement(line);
  if (tag == "with") return with_statement(line);
  if (tag == "call") return call_block(line);
  if (tag == "macro") {
    HEADRACE_TRY(std::string name, tokens_.take_name());
    HEADRACE_TRY(MacroDefinition definition, macro(std::move(name), tag, line));
    return Statement{line, MacroStatement{std::move(definition)}};
  }
  if (tag == "filter") {
    HEADRACE_TRY(ExprPtr filter, expressions_.filter_chain(nullptr));
    HEADRACE_TRY(Body inner, block(tag, line, "endfilter"));
    return Statement{line, FilterBlock{std::move(filter), std::move(inner)}};
  }
  if (tag == "generation") {
    // Marks what an assistant wrote, for training masks; rendering only gives it a scope.
    HEADRACE_TRY(Body inner, block(tag, line, "endgeneration"));
    return Statement{line, ScopedBlock{{}, std::move(inner)}};
  }
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) return error_at(line, Errc::bad_model, "'{}' outside of a loop", tag);
    if (tag == "break") return Statement{line, BreakStatement{}};
    return Statement{line, ContinueStatement{}};
  }
  if (std::find(kUnsupportedTags.begin(), kUnsupportedTags.end(), tag) != kUnsupportedTags.end()) {
    return error_at(line, Errc::unsupported, "tag '{}' is not supported", tag);
  }
  return error_at(line, Errc::bad_model, "unexpected tag '{}'", printable(tag));
}

Result<Statement> StatementParser::if_statement(uint32_t line) {
  IfStatement result;
  expressions_.enter_condition();
  std::string_view branch = "if";
  while (branch != "endif") {
    const bool has_test = branch != "else";
    ExprPtr test;
    if (has_test) {
      HEADRACE_TRY(test, expressions_.tuple(false));
    }
    tokens_.skip_op(":");
    HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::block_end));
    if (!has_test) {
      HEADRACE_TRY(result.otherwise, body({"endif"}, "if", line));
      branch = "endif";
    } else {
      HEADRACE_TRY(Body inner, body({"elif", "else", "endif"}, "if", line));
      result.branches.emplace_back(std::move(test), std::move(inner));
      branch = tokens_.at_name("elif") ? "elif" : tokens_.at_name("else") ? "else" : "endif";
    }
    tokens_.take();
  }
  expressions_.leave_condition();
  return Statement{line, std::move(result)};
}

Result<Statement> StatementParser::for_statement(uint32_t line) {
  ForStatement loop;
  HEADRACE_TRY(loop.target, target(false));
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_name("in"));
  HEADRACE_TRY(loop.iterable, expressions_.tuple(false));
  if (tokens_.skip_name("if")) {
    HEADRACE_TRY(loop.condition, expressions_.expression());
  }
  if (tokens_.at_name("recursive"))
    return error_at(line, Errc::unsupported, "recursive loops are not supported");
  tokens_.skip_op(":");
  HEADRACE_RETURN_IF_ERROR(tokens_.expect(TokenKind::block_end));
  ++loops_;
  HEADRACE_TRY(loop.body, body({"endfor", "else"}, "for", line));
  --loops_;
  if (tokens_.skip_name("else")) {
    HEADRACE_TRY(loop.otherwise, block("for", line, "endfor"));
  } else {
    tokens_.take();
  }
  return Statement{line, std::move(loop)};
}

Result<Statement> StatementParser::set_statement(uint32_t line) {
  HEADRACE_TRY(Target where, target(true));
  if (tokens_.skip_op("=")) {
    HEADRACE_TRY(ExprPtr value, expressions_.tuple(true));
    return Statement{line, SetStatement{std::move(where), std::move(value)}};
  }
  ExprPtr filter;
  if (tokens_.at_op("|")) {
    HEADRACE_TRY(filter, expressions_.filter_chain(nullptr));
  }
  HEADRACE_TRY(Body inner, block("set", line, "endset"));
  return Statement{line, SetBlock{std::move(where), std::move(filter), std::move(inner)}};
}

Result<Statement> StatementParser::with_statement(uint32_t line) {
  ScopedBlock with;
  while (!tokens_.at(TokenKind::block_end)) {
    if (!with.assignments.empty()) HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(","));
    HEADRACE_TRY(Target where, target_atom(false));
    HEADRACE_RETURN_IF_ERROR(tokens_.expect_op("="));
    HEADRACE_TRY(ExprPtr value, expressions_.expression());
    with.assignments.emplace_back(std::move(where), std::move(value));
  }
  HEADRACE_TRY(with.body, block("with", line, "endwith"));
  return Statement{line, std::move(with)};
}

Result<Statement> StatementParser::call_block(uint32_t line) {
  CallBlock result;
  std::vector<Parameter> taken;
  if (tokens_.at_op("(")) {
    HEADRACE_TRY(taken, parameters());
  }
  HEADRACE_TRY(result.call, expressions_.expression());
  if (!std::holds_alternative<CallExpr>(result.call->node)) {
    return error_at(line, Errc::bad_model, "'call' needs a call of a macro");
  }
  HEADRACE_TRY(result.caller, macro("caller", "call", line));
  result.caller.parameters = std::move(taken);
  return Statement{line, std::move(result)};
}

// From behind the name: parameters (a call block has had its own) and the body.
Result<MacroDefinition> StatementParser::macro(std::string name, std::string_view tag, uint32_t line) {
  MacroDefinition definition;
  definition.name = std::move(name);
  const auto outer_names = std::exchange(expressions_.special_names, {});
  const size_t outer_loops = std::exchange(loops_, 0);
  if (tag == "macro") {
    HEADRACE_TRY(definition.parameters, parameters());
  }
  HEADRACE_TRY(definition.body, block(tag, line, tag == "macro" ? "endmacro" : "endcall"));
  definition.uses_caller = expressions_.special_names.caller;
  definition.uses_varargs = expressions_.special_names.varargs;
  definition.uses_kwargs = expressions_.special_names.kwargs;
  expressions_.special_names = outer_names;
  loops_ = outer_loops;
  return definition;
}

Result<std::vector<Parameter>> StatementParser::parameters() {
  std::vector<Parameter> result;
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_op("("));
  while (!tokens_.skip_op(")")) {
    if (!result.empty()) HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(","));
    const uint32_t line = tokens_.line();
    Parameter parameter;
    HEADRACE_TRY(parameter.name, tokens_.take_name());
    if (tokens_.skip_op("=")) {
      HEADRACE_TRY(parameter.fallback, expressions_.expression());
    } else if (!result.empty() && result.back().fallback) {
      return error_at(line, Errc::bad_model, "parameter '{}' without a default after one with a default",
                      printable(parameter.name));
    }
    result.push_back(std::move(parameter));
  }
  return result;
}

Result<Target> StatementParser::target(bool with_attribute) {
  HEADRACE_TRY(Target first, target_atom(with_attribute));
  if (!tokens_.at_op(",")) return first;
  Target tuple;
  tuple.is_tuple = true;
  tuple.targets.push_back(std::move(first));
  while (tokens_.skip_op(",")) {
    if (tokens_.at_name("in") || tokens_.at_op("=") || tokens_.at_op(")")) break;
    HEADRACE_TRY(Target next, target_atom(with_attribute));
    tuple.targets.push_back(std::move(next));
  }
  return tuple;
}

Result<Target> StatementParser::target_atom(bool with_attribute) {
  const ExpressionParser::Level level(expressions_);
  HEADRACE_RETURN_IF_ERROR(expressions_.nested());
  if (tokens_.skip_op("(")) {
    HEADRACE_TRY(Target inner, target(with_attribute));
    HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(")"));
    return inner;
  }
  const uint32_t line = tokens_.line();
  Target result;
  HEADRACE_TRY(result.name, tokens_.take_name());
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (result.name == constant) return error_at(line, Errc::bad_model, "can't assign to '{}'", constant);
  }
  if (with_attribute && tokens_.skip_op(".")) {
    HEADRACE_TRY(result.attribute, tokens_.take_name());
  }
  return result;
}

}  // namespace

Result<Body> parse_template(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return error_at(1, Errc::out_of_budget, "the template is longer than {}", human_bytes(kMaxTemplateBytes));
  }
  if (!is_valid_utf8(source)) return error_at(1, Errc::bad_model, "the template is not valid UTF-8");
  HEADRACE_TRY(std::vector<Token> tokens, tokenize(source));
  return StatementParser(std::move(tokens)).body({});
}

}  // namespace headrace::jinja
