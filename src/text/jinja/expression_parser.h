// The expression half of the parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

namespace headrace::jinja {

/// Reads expressions with jinja2's grammar from the stream, of which it takes no more than the expression.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  Result<ExprPtr> expression();
  /// An expression without a conditional at its top: in `for x in a if b` the `if` belongs to the loop.
  Result<ExprPtr> expression_without_condition();
  /// One expression, or several with commas between: a tuple.
  Result<ExprPtr> tuple(bool with_condition);
  /// name(arguments) | name ...; `operand` may be null (filter and set blocks).
  Result<ExprPtr> filter_chain(ExprPtr operand);

  /// Things under a condition are parsed between these; their unknown filters are not an error yet.
  void enter_condition() { ++conditions_; }
  void leave_condition() { --conditions_; }

  /// A level of nesting, shared with the statements; ask nested() before using the level.
  class Level {
   public:
    explicit Level(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ExpressionParser& parser_;
  };
  Status nested() const;

  /// Which of the macro's special names the expressions parsed since the last reset used.
  struct SpecialNames {
    bool caller = false;
    bool varargs = false;
    bool kwargs = false;
  };
  SpecialNames special_names;

 private:
  Result<ExprPtr> conditional();
  Result<ExprPtr> binary(size_t level);
  Result<ExprPtr> logical_not();
  Result<ExprPtr> comparison();
  Result<ExprPtr> concatenation();
  Result<ExprPtr> unary(bool with_filters);
  Result<ExprPtr> primary();
  Result<ExprPtr> number();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr object);
  Result<ExprPtr> subscript(ExprPtr object);
  Result<ExprPtr> test(ExprPtr operand);
  Result<Arguments> arguments();

  template <typename Node>
  Result<ExprPtr> make(uint32_t line, Node node, uint32_t child_height);

  TokenStream& tokens_;
  size_t depth_ = 0;
  size_t conditions_ = 0;
};

}  // namespace headrace::jinja
