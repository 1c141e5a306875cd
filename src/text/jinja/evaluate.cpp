// The interpreter's expressions and calls.
#include <string>
#include <utility>

#include "core/file.h"
#include "text/jinja/interpreter_impl.h"
#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

const std::string kNoElse = "the inline 'if' was false and has no 'else'";
const std::string kNoCaller = "'caller' is undefined: the macro was not called by a call block";

}  // namespace

Result<Value> Interpreter::evaluate(const Expr& e) {
  const Nested level(runtime_);
  Result<Value> value = Value();
  if (Status deep = level.status(); !deep) {
    value = std::move(deep).error();
  } else if (Status paid = runtime_.work(1); !paid) {
    value = std::move(paid).error();
  } else {
    value = std::visit([this](const auto& node) { return compute(node); }, e.node);
  }
  if (!value && error_line_ == 0) error_line_ = e.line;
  return value;
}

Result<bool> Interpreter::holds(const Expr& e) {
  HEADRACE_TRY(const Value value, evaluate(e));
  return truth(runtime_, value);
}

Result<Value> Interpreter::compute(const NoneLiteral&) {
  return Value();
}
Result<Value> Interpreter::compute(bool e) {
  return Value(e);
}
Result<Value> Interpreter::compute(int64_t e) {
  return Value(e);
}
Result<Value> Interpreter::compute(double e) {
  return Value(e);
}
Result<Value> Interpreter::compute(const TextLiteral& e) {
  return Value(&e.text);
}

Result<Value> Interpreter::compute(const NameExpr& e) {
  if (const Value* found = look_up(e.name)) return *found;
  if (const Function* function = find_function(e.name)) return Value(function);
  return Value::undefined(&e.name);
}

Result<Value> Interpreter::compute(const ListExpr& e) {
  std::vector<Value> items;
  for (const ExprPtr& item : e.items) {
    HEADRACE_TRY(const Value value, evaluate(*item));
    items.push_back(value);
  }
  return e.is_tuple ? runtime_.tuple(std::move(items)) : runtime_.list(std::move(items));
}

Result<Value> Interpreter::compute(const DictExpr& e) {
  std::vector<Dict::Entry> entries;
  for (const auto& [key_expr, value_expr] : e.entries) {
    HEADRACE_TRY(const Value key, evaluate(*key_expr));
    HEADRACE_TRY(const Value value, evaluate(*value_expr));
    entries.emplace_back(key, value);
  }
  return build_dict(runtime_, std::move(entries));
}

Result<Value> Interpreter::compute(const UnaryExpr& e) {
  if (e.op == UnaryOp::logical_not) {
    HEADRACE_TRY(const bool value, holds(*e.operand));
    return Value(!value);
  }
  HEADRACE_TRY(const Value value, evaluate(*e.operand));
  if (e.op == UnaryOp::negate) return negate(value);
  return arithmetic(runtime_, BinaryOp::add, Value(int64_t{0}), value);
}

Result<Value> Interpreter::compute(const BinaryExpr& e) {
  HEADRACE_TRY(const Value left, evaluate(*e.left));
  if (e.op == BinaryOp::logical_and || e.op == BinaryOp::logical_or) {
    HEADRACE_TRY(const bool left_holds, truth(runtime_, left));
    if (left_holds == (e.op == BinaryOp::logical_or)) return left;
    return evaluate(*e.right);
  }
  HEADRACE_TRY(const Value right, evaluate(*e.right));
  return arithmetic(runtime_, e.op, left, right);
}

Result<Value> Interpreter::compute(const ConcatExpr& e) {
  Text joined;
  for (const ExprPtr& part : e.parts) {
    HEADRACE_TRY(const Value value, evaluate(*part));
    HEADRACE_TRY(const Text text, to_text(runtime_, value));
    joined.append(text);
  }
  return runtime_.text(std::move(joined));
}

Result<Value> Interpreter::compute(const CompareExpr& e) {
  HEADRACE_TRY(Value left, evaluate(*e.first));
  for (const auto& [op, expr] : e.rest) {
    HEADRACE_TRY(const Value right, evaluate(*expr));
    HEADRACE_TRY(const bool result, compare(runtime_, op, left, right));
    if (!result) return Value(false);
    left = right;
  }
  return Value(true);
}

Result<Value> Interpreter::compute(const ConditionalExpr& e) {
  HEADRACE_TRY(const bool test, holds(*e.test));
  if (test) return evaluate(*e.value);
  if (e.otherwise) return evaluate(*e.otherwise);
  return Value::undefined_because(&kNoElse);
}

Result<Value> Interpreter::compute(const AttributeExpr& e) {
  HEADRACE_TRY(const Value object, evaluate(*e.object));
  return attribute(runtime_, object, e.name);
}

Result<Value> Interpreter::compute(const SubscriptExpr& e) {
  HEADRACE_TRY(const Value object, evaluate(*e.object));
  HEADRACE_TRY(const Value index, evaluate(*e.index));
  return subscript(runtime_, object, index);
}

Result<Value> Interpreter::compute(const SliceExpr& e) {
  HEADRACE_TRY(const Value object, evaluate(*e.object));
  HEADRACE_TRY(const Value start, e.start ? evaluate(*e.start) : Result<Value>(Value()));
  HEADRACE_TRY(const Value stop, e.stop ? evaluate(*e.stop) : Result<Value>(Value()));
  HEADRACE_TRY(const Value step, e.step ? evaluate(*e.step) : Result<Value>(Value()));
  return slice(runtime_, object, start, stop, step);
}

Result<Value> Interpreter::compute(const FilterExpr& e) {
  HEADRACE_TRY(const Value input, e.operand ? evaluate(*e.operand) : Result<Value>(*block_input_));
  HEADRACE_TRY(const CallArguments args, evaluate_arguments(e.arguments));
  return apply_filter(runtime_, e.name, input, args);
}

Result<Value> Interpreter::apply_block_filter(const Expr& filter, Text body) {
  HEADRACE_TRY(const Value input, runtime_.text(std::move(body)));
  const Value* const outer = std::exchange(block_input_, &input);
  Result<Value> value = evaluate(filter);
  block_input_ = outer;
  return value;
}

Result<Value> Interpreter::compute(const TestExpr& e) {
  HEADRACE_TRY(const Value input, evaluate(*e.operand));
  HEADRACE_TRY(const CallArguments args, evaluate_arguments(e.arguments));
  HEADRACE_TRY(const bool result, apply_test(runtime_, e.name, input, args));
  return Value(result);
}

Result<Value> Interpreter::compute(const CallExpr& e) {
  HEADRACE_TRY(const Value callee, evaluate(*e.callee));
  HEADRACE_TRY(const CallArguments args, evaluate_arguments(e.arguments));
  return call(callee, args);
}

Result<CallArguments> Interpreter::evaluate_arguments(const Arguments& arguments) {
  CallArguments args;
  for (const ExprPtr& e : arguments.positional) {
    HEADRACE_TRY(const Value value, evaluate(*e));
    args.positional.push_back(value);
  }
  for (const auto& [name, e] : arguments.named) {
    HEADRACE_TRY(const Value value, evaluate(*e));
    args.named.emplace_back(name, value);
  }
  return args;
}

Result<Value> Interpreter::call(const Value& callee, const CallArguments& args) {
  switch (callee.kind()) {
    case Value::Kind::macro:
      return call_macro(callee.macro(), args);
    case Value::Kind::method:
      return call_method(runtime_, callee.method().receiver, callee.method().name, args);
    case Value::Kind::function:
      return callee.function().call(runtime_, args);
    case Value::Kind::loop:
      return not_supported("recursive loops are not supported");
    case Value::Kind::undefined:
      return type_error("{}", callee.why_undefined());
    default:
      return type_error("{} can't be called", type_name(callee));
  }
}

Result<Value> Interpreter::make_macro(const MacroDefinition& definition) {
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent)
    scope->captured = true;
  HEADRACE_TRY(const Macro* macro, runtime_.make<Macro>(0, &definition, scope_));
  return Value(macro);
}

Result<Value> Interpreter::call_macro(const Macro& macro, const CallArguments& args) {
  const MacroDefinition& definition = *macro.definition;
  HEADRACE_RETURN_IF_ERROR(runtime_.work(kMacroCallWork));
  HEADRACE_TRY(Scope* const scope, new_scope(macro.scope));
  std::vector<std::optional<Value>> given(definition.parameters.size());
  std::vector<Value> varargs;
  for (size_t i = 0; i < args.positional.size(); ++i) {
    if (i < given.size()) {
      given[i] = args.positional[i];
    } else if (definition.uses_varargs) {
      varargs.push_back(args.positional[i]);
    } else {
      return type_error("macro '{}' takes at most {} arguments", printable(definition.name), given.size());
    }
  }
  std::vector<Dict::Entry> kwargs;
  Value caller = Value::undefined_because(&kNoCaller);
  for (const auto& [name, value] : args.named) {
    size_t i = 0;
    while (i < given.size() && definition.parameters[i].name != name) ++i;
    if (i < given.size() && !given[i]) {
      given[i] = value;
    } else if (name == "caller" && definition.uses_caller) {
      caller = value;
    } else if (i == given.size() && definition.uses_kwargs) {
      HEADRACE_TRY(const Value key, runtime_.text(name, true));
      kwargs.emplace_back(key, value);
    } else {
      return type_error("macro '{}' takes no {}argument '{}'", printable(definition.name),
                        i < given.size() ? "second " : "", printable(name));
    }
  }
  if (definition.uses_caller) scope->set("caller", caller);
  if (definition.uses_varargs) {
    HEADRACE_TRY(const Value value, runtime_.tuple(std::move(varargs)));
    scope->set("varargs", value);
  }
  if (definition.uses_kwargs) {
    HEADRACE_TRY(const Value value, build_dict(runtime_, std::move(kwargs)));
    scope->set("kwargs", value);
  }
  for (size_t i = 0; i < given.size(); ++i) {
    const Parameter& parameter = definition.parameters[i];
    Value value = given[i].value_or(Value::undefined(&parameter.name));
    if (!given[i] && parameter.fallback) {
      const Inside inside(*this, scope);
      HEADRACE_TRY(value, evaluate(*parameter.fallback));
    }
    scope->set(parameter.name, value);
  }
  HEADRACE_TRY(Text text, capture(definition.body, scope));
  release(scope);
  return runtime_.text(std::move(text));
}

}  // namespace headrace::jinja
