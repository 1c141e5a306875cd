// The interpreter's insides, shared by its two halves: statements and expressions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"
#include "text/jinja/runtime.h"
#include "text/jinja/scope.h"

namespace headrace::jinja {

class Interpreter {
 public:
  explicit Interpreter(Runtime& runtime) : runtime_(runtime) {}

  Result<Text> render(const Body& body, const Variables& variables);

  Result<Value> evaluate(const Expr& e);
  /// Whether a loop's condition holds for an item, bound to the loop's target in a scope below `outer`.
  Result<bool> passes(const ForStatement& loop, const Value& item, Scope* outer);
  Runtime& runtime() { return runtime_; }

 private:
  enum class Flow : uint8_t { next, break_loop, continue_loop };

  /// Makes another scope current while it lives.
  class Inside {
   public:
    Inside(Interpreter& interpreter, Scope* scope) : interpreter_(interpreter), outer_(interpreter.scope_) {
      interpreter_.scope_ = scope;
    }
    ~Inside() { interpreter_.scope_ = outer_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Interpreter& interpreter_;
    Scope* outer_;
  };

  Result<Flow> run(const Body& body);
  /// Runs the body in a scope of its own, with its output going to the result.
  Result<Text> capture(const Body& body, Scope* scope);
  Result<Scope*> new_scope(Scope* parent);
  void release(Scope* scope);
  Status write(const Text& text);
  Status assign(const Target& target, const Value& value);
  const Value* look_up(std::string_view name) const;

  Result<Flow> execute(const OutputText& s);
  Result<Flow> execute(const OutputValue& s);
  Result<Flow> execute(const IfStatement& s);
  Result<Flow> execute(const ForStatement& s);
  Result<Flow> execute(const SetStatement& s);
  Result<Flow> execute(const SetBlock& s);
  Result<Flow> execute(const MacroStatement& s);
  Result<Flow> execute(const CallBlock& s);
  Result<Flow> execute(const FilterBlock& s);
  Result<Flow> execute(const ScopedBlock& s);
  Result<Flow> execute(const BreakStatement& s);
  Result<Flow> execute(const ContinueStatement& s);

  Result<Value> compute(const NoneLiteral& e);
  Result<Value> compute(bool e);
  Result<Value> compute(int64_t e);
  Result<Value> compute(double e);
  Result<Value> compute(const TextLiteral& e);
  Result<Value> compute(const NameExpr& e);
  Result<Value> compute(const ListExpr& e);
  Result<Value> compute(const DictExpr& e);
  Result<Value> compute(const UnaryExpr& e);
  Result<Value> compute(const BinaryExpr& e);
  Result<Value> compute(const ConcatExpr& e);
  Result<Value> compute(const CompareExpr& e);
  Result<Value> compute(const ConditionalExpr& e);
  Result<Value> compute(const AttributeExpr& e);
  Result<Value> compute(const SubscriptExpr& e);
  Result<Value> compute(const SliceExpr& e);
  Result<Value> compute(const CallExpr& e);
  Result<Value> compute(const FilterExpr& e);
  Result<Value> compute(const TestExpr& e);

  Result<bool> holds(const Expr& e);
  Result<CallArguments> evaluate_arguments(const Arguments& arguments);
  Result<Value> call(const Value& callee, const CallArguments& args);
  Result<Value> call_macro(const Macro& macro, const CallArguments& args);
  Result<Value> make_macro(const MacroDefinition& definition);
  Result<Value> apply_block_filter(const Expr& filter, Text body);

  Runtime& runtime_;
  Scope* scope_ = nullptr;
  Text* out_ = nullptr;
  std::vector<Scope*> free_scopes_;
  const Value* block_input_ = nullptr;  // what the innermost filter of a filter block gets
  uint64_t iterations_left_ = kMaxLoopIterations;
  uint32_t error_line_ = 0;  // of the innermost node that failed
};

}  // namespace headrace::jinja
