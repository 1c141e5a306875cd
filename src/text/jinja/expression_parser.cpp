#include "text/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

#include "core/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/limits.h"

namespace headrace::jinja {
namespace {

uint32_t height_of(const ExprPtr& e) {
  return e ? e->height : 0;
}

template <typename... Rest>
uint32_t height_of(const ExprPtr& e, const Rest&... rest) {
  return std::max(height_of(e), height_of(rest...));
}

uint32_t height_of(const std::vector<ExprPtr>& items) {
  uint32_t height = 0;
  for (const ExprPtr& e : items) height = std::max(height, height_of(e));
  return height;
}

uint32_t height_of(const Arguments& arguments) {
  uint32_t height = height_of(arguments.positional);
  for (const auto& [name, value] : arguments.named) height = std::max(height, height_of(value));
  return height;
}

struct Operator {
  std::string_view spelling;
  BinaryOp op;
};
constexpr Operator kOr[] = {{"or", BinaryOp::logical_or}};
constexpr Operator kAnd[] = {{"and", BinaryOp::logical_and}};
constexpr Operator kSums[] = {{"+", BinaryOp::add}, {"-", BinaryOp::subtract}};
constexpr Operator kProducts[] = {{"*", BinaryOp::multiply},
                                  {"/", BinaryOp::divide},
                                  {"//", BinaryOp::floor_divide},
                                  {"%", BinaryOp::modulo}};
constexpr Operator kPowers[] = {{"**", BinaryOp::power}};

// The levels of left-associative operators; not, comparisons and ~ stand between them.
enum Level : size_t { or_level, and_level, sum_level, product_level, power_level, level_count };
constexpr std::array<std::span<const Operator>, level_count> kLevels = {kOr, kAnd, kSums, kProducts, kPowers};

struct Comparison {
  std::string_view spelling;
  CompareOp op;
};
constexpr Comparison kComparisons[] = {{"==", CompareOp::equal},  {"!=", CompareOp::not_equal},
                                       {"<", CompareOp::less},    {"<=", CompareOp::less_equal},
                                       {">", CompareOp::greater}, {">=", CompareOp::greater_equal}};

}  // namespace

Status ExpressionParser::nested() const {
  if (depth_ <= kMaxNesting) return {};
  return error_at(tokens_.line(), Errc::out_of_budget, "nested deeper than {}", kMaxNesting);
}

template <typename Node>
Result<ExprPtr> ExpressionParser::make(uint32_t line, Node node, uint32_t child_height) {
  if (child_height >= kMaxNesting) {
    return error_at(line, Errc::out_of_budget, "an expression has more than {} levels", kMaxNesting);
  }
  auto e = std::make_unique<Expr>();
  e->line = line;
  e->height = child_height + 1;
  e->node = std::move(node);
  return e;
}

Result<ExprPtr> ExpressionParser::expression() {
  return conditional();
}

Result<ExprPtr> ExpressionParser::expression_without_condition() {
  return binary(or_level);
}

Result<ExprPtr> ExpressionParser::conditional() {
  const Level level(*this);
  HEADRACE_RETURN_IF_ERROR(nested());
  HEADRACE_TRY(ExprPtr value, binary(or_level));
  while (tokens_.at_name("if")) {
    const uint32_t line = tokens_.take().line;
    enter_condition();
    HEADRACE_TRY(ExprPtr test, binary(or_level));
    ExprPtr otherwise;
    if (tokens_.skip_name("else")) {
      HEADRACE_TRY(otherwise, conditional());
    }
    leave_condition();
    const uint32_t height = height_of(test, value, otherwise);
    HEADRACE_TRY(
        value, make(line, ConditionalExpr{std::move(test), std::move(value), std::move(otherwise)}, height));
  }
  return value;
}

// Left-associative operators, from `or` down to `**`.
Result<ExprPtr> ExpressionParser::binary(size_t level) {
  const auto operand = [this, level]() -> Result<ExprPtr> {
    switch (level) {
      case or_level:
        return binary(and_level);
      case and_level:
        return logical_not();
      case sum_level:
        return concatenation();
      case product_level:
        return binary(power_level);
      default:
        return unary(true);
    }
  };
  const auto operator_here = [this, level]() -> std::optional<BinaryOp> {
    const Token& token = tokens_.current();
    if (token.kind != (level <= and_level ? TokenKind::name : TokenKind::op)) return std::nullopt;
    for (const Operator& o : kLevels[level]) {
      if (token.text == o.spelling) return o.op;
    }
    return std::nullopt;
  };
  HEADRACE_TRY(ExprPtr left, operand());
  while (const std::optional<BinaryOp> op = operator_here()) {
    const uint32_t line = tokens_.take().line;
    HEADRACE_TRY(ExprPtr right, operand());
    const uint32_t height = height_of(left, right);
    HEADRACE_TRY(left, make(line, BinaryExpr{*op, std::move(left), std::move(right)}, height));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::logical_not() {
  if (!tokens_.at_name("not")) return comparison();
  const Level level(*this);
  HEADRACE_RETURN_IF_ERROR(nested());
  const uint32_t line = tokens_.take().line;
  HEADRACE_TRY(ExprPtr operand, logical_not());
  const uint32_t height = height_of(operand);
  return make(line, UnaryExpr{UnaryOp::logical_not, std::move(operand)}, height);
}

Result<ExprPtr> ExpressionParser::comparison() {
  const uint32_t line = tokens_.line();
  HEADRACE_TRY(ExprPtr first, binary(sum_level));
  CompareExpr compare;
  uint32_t height = height_of(first);
  while (true) {
    std::optional<CompareOp> op;
    if (tokens_.skip_name("in")) {
      op = CompareOp::in;
    } else if (tokens_.at_name("not") && tokens_.next_token().kind == TokenKind::name &&
               tokens_.next_token().text == "in") {
      tokens_.take();
      tokens_.take();
      op = CompareOp::not_in;
    } else {
      for (const Comparison& c : kComparisons) {
        if (!op && tokens_.skip_op(c.spelling)) op = c.op;
      }
    }
    if (!op) break;
    HEADRACE_TRY(ExprPtr operand, binary(sum_level));
    height = std::max(height, height_of(operand));
    compare.rest.emplace_back(*op, std::move(operand));
  }
  if (compare.rest.empty()) return first;
  compare.first = std::move(first);
  return make(line, std::move(compare), height);
}

Result<ExprPtr> ExpressionParser::concatenation() {
  const uint32_t line = tokens_.line();
  HEADRACE_TRY(ExprPtr first, binary(product_level));
  if (!tokens_.at_op("~")) return first;
  ConcatExpr concat;
  concat.parts.push_back(std::move(first));
  while (tokens_.skip_op("~")) {
    HEADRACE_TRY(ExprPtr part, binary(product_level));
    concat.parts.push_back(std::move(part));
  }
  const uint32_t height = height_of(concat.parts);
  return make(line, std::move(concat), height);
}

Result<ExprPtr> ExpressionParser::unary(bool with_filters) {
  const Level level(*this);
  HEADRACE_RETURN_IF_ERROR(nested());
  const uint32_t line = tokens_.line();
  ExprPtr value;
  if (tokens_.at_op("-") || tokens_.at_op("+")) {
    const UnaryOp op = tokens_.take().text == "-" ? UnaryOp::negate : UnaryOp::plus;
    HEADRACE_TRY(ExprPtr operand, unary(false));
    const uint32_t height = height_of(operand);
    HEADRACE_TRY(value, make(line, UnaryExpr{op, std::move(operand)}, height));
  } else {
    HEADRACE_TRY(value, primary());
  }
  HEADRACE_TRY(value, postfix(std::move(value)));
  while (with_filters) {
    if (tokens_.at_op("|")) {
      HEADRACE_TRY(value, filter_chain(std::move(value)));
    } else if (tokens_.at_name("is")) {
      HEADRACE_TRY(value, test(std::move(value)));
    } else if (tokens_.at_op("(")) {
      HEADRACE_TRY(value, postfix(std::move(value)));
    } else {
      break;
    }
  }
  return value;
}

Result<ExprPtr> ExpressionParser::primary() {
  const uint32_t line = tokens_.line();
  switch (tokens_.current().kind) {
    case TokenKind::name: {
      std::string name = tokens_.take().text;
      if (name == "true" || name == "True") return make(line, true, 0);
      if (name == "false" || name == "False") return make(line, false, 0);
      if (name == "none" || name == "None") return make(line, NoneLiteral{}, 0);
      special_names.caller |= name == "caller";
      special_names.varargs |= name == "varargs";
      special_names.kwargs |= name == "kwargs";
      return make(line, NameExpr{std::move(name)}, 0);
    }
    case TokenKind::string: {
      std::string value = tokens_.take().text;
      while (tokens_.at(TokenKind::string)) value += tokens_.take().text;
      return make(line, TextLiteral{Text(value, true)}, 0);
    }
    case TokenKind::integer:
    case TokenKind::real:
      return number();
    default:
      break;
  }
  if (tokens_.at_op("[")) return list();
  if (tokens_.at_op("{")) return dict();
  if (!tokens_.skip_op("(")) return tokens_.unexpected("an expression");
  if (tokens_.skip_op(")")) return make(line, ListExpr{{}, true}, 0);
  HEADRACE_TRY(ExprPtr inner, tuple(true));
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(")"));
  return inner;
}

Result<ExprPtr> ExpressionParser::number() {
  const Token token = tokens_.take();
  const std::string& text = token.text;
  if (token.kind == TokenKind::real) {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return make(token.line, value, 0);
  }
  int base = 10;
  size_t skip = 0;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    skip = base == 10 ? 0 : 2;
  }
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + skip, end, value, base);
  const bool zero_padded = base == 10 && text.size() > 1 && text[0] == '0' && value != 0;
  if (error == std::errc::result_out_of_range) {
    return error_at(token.line, Errc::unsupported, "integer {} does not fit 64 bits", printable(text));
  }
  if (error != std::errc() || stop != end || zero_padded) {
    return error_at(token.line, Errc::bad_model, "'{}' is not a number", printable(text));
  }
  return make(token.line, value, 0);
}

Result<ExprPtr> ExpressionParser::list() {
  const uint32_t line = tokens_.take().line;
  ListExpr list{{}, false};
  while (!tokens_.skip_op("]")) {
    if (!list.items.empty()) {
      HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(","));
      if (tokens_.skip_op("]")) break;
    }
    HEADRACE_TRY(ExprPtr item, expression());
    list.items.push_back(std::move(item));
  }
  const uint32_t height = height_of(list.items);
  return make(line, std::move(list), height);
}

Result<ExprPtr> ExpressionParser::dict() {
  const uint32_t line = tokens_.take().line;
  DictExpr dict;
  uint32_t height = 0;
  while (!tokens_.skip_op("}")) {
    if (!dict.entries.empty()) {
      HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(","));
      if (tokens_.skip_op("}")) break;
    }
    HEADRACE_TRY(ExprPtr key, expression());
    HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(":"));
    HEADRACE_TRY(ExprPtr value, expression());
    height = std::max({height, height_of(key), height_of(value)});
    dict.entries.emplace_back(std::move(key), std::move(value));
  }
  return make(line, std::move(dict), height);
}

Result<ExprPtr> ExpressionParser::tuple(bool with_condition) {
  const uint32_t line = tokens_.line();
  ListExpr tuple{{}, true};
  bool has_comma = false;
  while (true) {
    const bool at_end =
        tokens_.at(TokenKind::variable_end) || tokens_.at(TokenKind::block_end) || tokens_.at_op(")");
    if (at_end && has_comma) break;
    HEADRACE_TRY(ExprPtr item, with_condition ? expression() : expression_without_condition());
    tuple.items.push_back(std::move(item));
    if (!tokens_.skip_op(",")) break;
    has_comma = true;
  }
  if (!has_comma) return std::move(tuple.items.front());
  const uint32_t height = height_of(tuple.items);
  return make(line, std::move(tuple), height);
}

Result<ExprPtr> ExpressionParser::postfix(ExprPtr object) {
  while (true) {
    if (tokens_.at_op(".") || tokens_.at_op("[")) {
      HEADRACE_TRY(object, subscript(std::move(object)));
    } else if (tokens_.at_op("(")) {
      const uint32_t line = tokens_.line();
      HEADRACE_TRY(Arguments args, arguments());
      const uint32_t height = std::max(height_of(object), height_of(args));
      HEADRACE_TRY(object, make(line, CallExpr{std::move(object), std::move(args)}, height));
    } else {
      return object;
    }
  }
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr object) {
  const Token open = tokens_.take();
  const uint32_t height = height_of(object);
  if (open.text == ".") {
    if (tokens_.at(TokenKind::integer)) {
      HEADRACE_TRY(ExprPtr index, number());
      return make(open.line, SubscriptExpr{std::move(object), std::move(index)}, height);
    }
    HEADRACE_TRY(std::string name, tokens_.take_name());
    return make(open.line, AttributeExpr{std::move(object), std::move(name)}, height);
  }
  ExprPtr start;
  ExprPtr stop;
  ExprPtr step;
  if (!tokens_.at_op(":")) {
    HEADRACE_TRY(start, expression());
    if (tokens_.at_op(","))
      return error_at(open.line, Errc::unsupported, "a subscript of several is not supported");
    if (tokens_.skip_op("]")) {
      const uint32_t both = height_of(object, start);
      return make(open.line, SubscriptExpr{std::move(object), std::move(start)}, both);
    }
  }
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(":"));
  if (!tokens_.at_op(":") && !tokens_.at_op("]")) {
    HEADRACE_TRY(stop, expression());
  }
  if (tokens_.skip_op(":") && !tokens_.at_op("]")) {
    HEADRACE_TRY(step, expression());
  }
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_op("]"));
  const uint32_t all = height_of(object, start, stop, step);
  return make(open.line, SliceExpr{std::move(object), std::move(start), std::move(stop), std::move(step)},
              all);
}

Result<Arguments> ExpressionParser::arguments() {
  const uint32_t line = tokens_.line();
  Arguments args;
  HEADRACE_RETURN_IF_ERROR(tokens_.expect_op("("));
  while (!tokens_.skip_op(")")) {
    if (!args.positional.empty() || !args.named.empty()) {
      HEADRACE_RETURN_IF_ERROR(tokens_.expect_op(","));
      if (tokens_.skip_op(")")) break;
    }
    if (tokens_.at_op("*") || tokens_.at_op("**")) {
      return error_at(line, Errc::unsupported, "'{}' arguments are not supported", tokens_.current().text);
    }
    const Token& next = tokens_.next_token();
    if (tokens_.at(TokenKind::name) && next.kind == TokenKind::op && next.text == "=") {
      std::string name = tokens_.take().text;
      tokens_.take();
      HEADRACE_TRY(ExprPtr value, expression());
      args.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!args.named.empty())
        return error_at(line, Errc::bad_model, "positional argument after a named one");
      HEADRACE_TRY(ExprPtr value, expression());
      args.positional.push_back(std::move(value));
    }
  }
  return args;
}

Result<ExprPtr> ExpressionParser::filter_chain(ExprPtr operand) {
  do {
    tokens_.skip_op("|");
    const uint32_t line = tokens_.line();
    HEADRACE_TRY(std::string name, tokens_.take_name());
    if (conditions_ == 0 && find_filter(name) == nullptr) {
      return error_at(line, Errc::unsupported, "filter '{}' is not supported", printable(name));
    }
    Arguments args;
    if (tokens_.at_op("(")) {
      HEADRACE_TRY(args, arguments());
    }
    const uint32_t height = std::max(height_of(operand), height_of(args));
    HEADRACE_TRY(operand,
                 make(line, FilterExpr{std::move(operand), std::move(name), std::move(args)}, height));
  } while (tokens_.at_op("|"));
  return operand;
}

Result<ExprPtr> ExpressionParser::test(ExprPtr operand) {
  const uint32_t line = tokens_.take().line;
  const bool negated = tokens_.skip_name("not");
  HEADRACE_TRY(std::string name, tokens_.take_name());
  if (conditions_ == 0 && find_test(name) == nullptr) {
    return error_at(line, Errc::unsupported, "test '{}' is not supported", printable(name));
  }
  Arguments args;
  const TokenKind next = tokens_.current().kind;
  if (tokens_.at_op("(")) {
    HEADRACE_TRY(args, arguments());
  } else if (next == TokenKind::string || next == TokenKind::integer || next == TokenKind::real ||
             tokens_.at_op("[") || tokens_.at_op("{") ||
             (next == TokenKind::name && !tokens_.at_name("else") && !tokens_.at_name("or") &&
              !tokens_.at_name("and"))) {
    // jinja2 takes any other name for the test's argument, `if` among them; only a second `is` is refused.
    if (tokens_.at_name("is")) return tokens_.unexpected("the end of the test");
    HEADRACE_TRY(ExprPtr argument, primary());
    HEADRACE_TRY(argument, postfix(std::move(argument)));
    args.positional.push_back(std::move(argument));
  }
  uint32_t height = std::max(height_of(operand), height_of(args));
  HEADRACE_TRY(ExprPtr tested,
               make(line, TestExpr{std::move(operand), std::move(name), std::move(args)}, height));
  if (!negated) return tested;
  height = height_of(tested);
  return make(line, UnaryExpr{UnaryOp::logical_not, std::move(tested)}, height);
}

}  // namespace headrace::jinja
