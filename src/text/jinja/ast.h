// The tree that the parser makes of a template.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/text.h"

namespace headrace::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

enum class UnaryOp : uint8_t { negate, plus, logical_not };
enum class BinaryOp : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  logical_and,
  logical_or
};
enum class CompareOp : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

struct NoneLiteral {};
struct TextLiteral {
  Text text;
};
struct NameExpr {
  std::string name;
};
struct ListExpr {
  std::vector<ExprPtr> items;
  bool is_tuple;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};
struct UnaryExpr {
  UnaryOp op;
  ExprPtr operand;
};
struct BinaryExpr {
  BinaryOp op;
  ExprPtr left;
  ExprPtr right;
};
/// a ~ b ~ c
struct ConcatExpr {
  std::vector<ExprPtr> parts;
};
/// a < b <= c
struct CompareExpr {
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
/// value if test else otherwise; `otherwise` may be missing.
struct ConditionalExpr {
  ExprPtr test;
  ExprPtr value;
  ExprPtr otherwise;
};
struct AttributeExpr {
  ExprPtr object;
  std::string name;
};
struct SubscriptExpr {
  ExprPtr object;
  ExprPtr index;
};
/// object[start:stop:step]; each may be missing.
struct SliceExpr {
  ExprPtr object;
  ExprPtr start;
  ExprPtr stop;
  ExprPtr step;
};
struct CallExpr {
  ExprPtr callee;
  Arguments arguments;
};
/// `operand` is missing for the innermost filter of a filter block or a filtered set block.
struct FilterExpr {
  ExprPtr operand;
  std::string name;
  Arguments arguments;
};
struct TestExpr {
  ExprPtr operand;
  std::string name;
  Arguments arguments;
};

struct Expr {
  uint32_t line = 0;
  uint32_t height = 1;  // levels of the tree below and including this node
  std::variant<NoneLiteral, bool, int64_t, double, TextLiteral, NameExpr, ListExpr, DictExpr, UnaryExpr,
               BinaryExpr, ConcatExpr, CompareExpr, ConditionalExpr, AttributeExpr, SubscriptExpr, SliceExpr,
               CallExpr, FilterExpr, TestExpr>
      node;
};

/// What an assignment writes to: a name, an attribute of a namespace, or several targets in parentheses.
struct Target {
  std::string name;
  std::string attribute;        // ns.attribute if not empty
  std::vector<Target> targets;  // unpacking if is_tuple
  bool is_tuple = false;
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExprPtr fallback;  // may be missing
};

/// A macro, or the body of a call block.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct OutputText {
  Text text;
};
struct OutputValue {
  ExprPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  ExprPtr iterable;
  ExprPtr condition;  // may be missing
  Body body;
  Body otherwise;
};
struct SetStatement {
  Target target;
  ExprPtr value;
};
struct SetBlock {
  Target target;
  ExprPtr filter;  // may be missing
  Body body;
};
struct MacroStatement {
  MacroDefinition macro;
};
struct CallBlock {
  ExprPtr call;
  MacroDefinition caller;
};
struct FilterBlock {
  ExprPtr filter;
  Body body;
};
/// with, and generation: a scope of its own.
struct ScopedBlock {
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  uint32_t line;
  std::variant<OutputText, OutputValue, IfStatement, ForStatement, SetStatement, SetBlock, MacroStatement,
               CallBlock, FilterBlock, ScopedBlock, BreakStatement, ContinueStatement>
      node;
};

}  // namespace headrace::jinja
