#include "text/jinja/interpreter.h"

#include <utility>

#include "core/file.h"
#include "text/jinja/interpreter_impl.h"
#include "text/jinja/python.h"
#include "text/jinja/token.h"

namespace headrace::jinja {
namespace {

// The items of a for statement, taken one by one: a condition is asked only when the loop, or a template that
// looks at loop.last, gets to the item. Until then the body may still change what the condition reads.
class ForLoop final : public Loop {
 public:
  ForLoop(Interpreter& interpreter, const ForStatement& node, Scope* outer, std::vector<Value> items)
      : interpreter_(interpreter), node_(node), outer_(outer), items_(std::move(items)) {}

  /// The next item, or nothing at the end.
  Result<std::optional<Value>> next();
  /// The statement is done, while `loop` may live on in a namespace. The scope that a condition was asked in
  /// may serve others from now on.
  void leave() { left_ = true; }
  Result<std::optional<Value>> attribute(std::string_view name) override;
  Result<Value> call(std::string_view method, const CallArguments& args) override;

 private:
  /// Whether there is an item behind the current one; with `all`, finds all that there are.
  Result<bool> look_ahead(bool all);

  Interpreter& interpreter_;
  const ForStatement& node_;
  Scope* outer_;
  std::vector<Value> items_;
  size_t unseen_ = 0;            // first item whose condition was not asked
  std::vector<Value> accepted_;  // items that passed
  size_t taken_ = 0;             // of those, how many the loop has visited
  std::optional<Value> last_changed_;
  bool left_ = false;
};

Result<bool> ForLoop::look_ahead(bool all) {
  while (unseen_ < items_.size() && (all || taken_ == accepted_.size())) {
    if (left_ && node_.condition)
      return not_supported("looking ahead in a loop that was left is not supported");
    const Value item = items_[unseen_++];
    HEADRACE_TRY(const bool passed,
                 node_.condition ? interpreter_.passes(node_, item, outer_) : Result<bool>(true));
    if (passed) accepted_.push_back(item);
  }
  return taken_ < accepted_.size();
}

Result<std::optional<Value>> ForLoop::next() {
  HEADRACE_TRY(const bool more, look_ahead(false));
  if (!more) return std::optional<Value>();
  return std::optional(accepted_[taken_++]);
}

Result<std::optional<Value>> ForLoop::attribute(std::string_view name) {
  const int64_t index = static_cast<int64_t>(taken_);
  if (name == "index") return std::optional(Value(index));
  if (name == "index0") return std::optional(Value(index - 1));
  if (name == "first") return std::optional(Value(index == 1));
  if (name == "depth") return std::optional(Value(int64_t{1}));
  if (name == "depth0") return std::optional(Value(int64_t{0}));
  if (name == "previtem") return std::optional(index > 1 ? accepted_[taken_ - 2] : Value::undefined(nullptr));
  if (name == "last" || name == "nextitem") {
    HEADRACE_TRY(const bool more, look_ahead(false));
    if (name == "last") return std::optional(Value(!more));
    return std::optional(more ? accepted_[taken_] : Value::undefined(nullptr));
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    HEADRACE_RETURN_IF_ERROR(look_ahead(true));
    const int64_t length = static_cast<int64_t>(accepted_.size());
    if (name == "length") return std::optional(Value(length));
    return std::optional(Value(length - index + (name == "revindex" ? 1 : 0)));
  }
  return std::optional<Value>();
}

Result<Value> ForLoop::call(std::string_view method, const CallArguments& args) {
  if (!args.named.empty()) return type_error("loop.{}() takes no named arguments", method);
  if (method == "cycle") {
    if (args.positional.empty()) return type_error("loop.cycle() needs arguments");
    return args.positional[(taken_ - 1) % args.positional.size()];
  }
  HEADRACE_TRY(const Value now, interpreter_.runtime().tuple(args.positional));
  bool same = false;
  if (last_changed_) {
    HEADRACE_TRY(same, equal(interpreter_.runtime(), *last_changed_, now));
  }
  last_changed_ = now;
  return Value(!same);
}

}  // namespace

Result<Text> Interpreter::render(const Body& body, const Variables& variables) {
  HEADRACE_TRY(Scope* const root, new_scope(nullptr));
  for (const auto& [name, value] : variables) root->set(name, value);
  Result<Text> text = capture(body, root);
  if (!text) return error_at(error_line_, text.error().code, "{}", text.error().message);
  return text;
}

Result<Interpreter::Flow> Interpreter::run(const Body& body) {
  const Nested level(runtime_);
  HEADRACE_RETURN_IF_ERROR(level.status());
  for (const Statement& statement : body) {
    Result<Flow> flow = Flow::next;
    if (Status paid = runtime_.work(1); !paid) {
      flow = std::move(paid).error();
    } else {
      flow = std::visit([this](const auto& node) { return execute(node); }, statement.node);
    }
    if (!flow && error_line_ == 0) error_line_ = statement.line;
    if (!flow || *flow != Flow::next) return flow;
  }
  return Flow::next;
}

Result<Text> Interpreter::capture(const Body& body, Scope* scope) {
  Text text;
  Text* const outer = std::exchange(out_, &text);
  Result<Flow> flow = Flow::next;
  {
    const Inside inside(*this, scope);
    flow = run(body);
  }
  out_ = outer;
  if (!flow) return std::move(flow).error();
  return text;
}

Result<Scope*> Interpreter::new_scope(Scope* parent) {
  if (!free_scopes_.empty()) {
    Scope* const scope = free_scopes_.back();
    free_scopes_.pop_back();
    scope->parent = parent;
    return scope;
  }
  return runtime_.make<Scope>(0, parent);
}

void Interpreter::release(Scope* scope) {
  if (scope->captured) return;
  scope->variables.clear();
  free_scopes_.push_back(scope);
}

Status Interpreter::write(const Text& text) {
  HEADRACE_RETURN_IF_ERROR(runtime_.work_on_bytes(text.size()));
  if (text.size() > kMaxOutputBytes - out_->size()) {
    return make_error(Errc::out_of_budget, "the template writes more than {}", human_bytes(kMaxOutputBytes));
  }
  out_->append(text);
  return {};
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    HEADRACE_TRY(const std::vector<Value> items, elements(runtime_, value));
    if (items.size() != target.targets.size()) {
      return type_error("{} values for {} names", items.size(), target.targets.size());
    }
    for (size_t i = 0; i < items.size(); ++i) HEADRACE_RETURN_IF_ERROR(assign(target.targets[i], items[i]));
    return {};
  }
  HEADRACE_RETURN_IF_ERROR(runtime_.work(1 + scope_->variables.size() / 4));
  if (target.attribute.empty()) {
    scope_->set(target.name, value);
    return {};
  }
  const Value* place = look_up(target.name);
  if (place == nullptr || !place->is(Value::Kind::name_space)) {
    return type_error("can't set an attribute of '{}', which is not a namespace", printable(target.name));
  }
  return set_attribute(runtime_, place->name_space(), target.attribute, value);
}

const Value* Interpreter::look_up(std::string_view name) const {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const Value* found = scope->find(name)) return found;
  }
  return nullptr;
}

Result<Interpreter::Flow> Interpreter::execute(const OutputText& s) {
  HEADRACE_RETURN_IF_ERROR(write(s.text));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const OutputValue& s) {
  HEADRACE_TRY(const Value value, evaluate(*s.value));
  if (value.is_text()) {
    HEADRACE_RETURN_IF_ERROR(write(value.text()));
    return Flow::next;
  }
  HEADRACE_TRY(const Text text, to_text(runtime_, value));
  HEADRACE_RETURN_IF_ERROR(write(text));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const IfStatement& s) {
  for (const auto& [test, body] : s.branches) {
    HEADRACE_TRY(const bool taken, holds(*test));
    if (taken) return run(body);
  }
  return run(s.otherwise);
}

Result<bool> Interpreter::passes(const ForStatement& loop, const Value& item, Scope* outer) {
  HEADRACE_TRY(Scope* const scope, new_scope(outer));
  bool passed = false;
  {
    const Inside inside(*this, scope);
    HEADRACE_RETURN_IF_ERROR(assign(loop.target, item));
    HEADRACE_TRY(passed, holds(*loop.condition));
  }
  release(scope);
  return passed;
}

Result<Interpreter::Flow> Interpreter::execute(const ForStatement& s) {
  HEADRACE_TRY(const Value iterable, evaluate(*s.iterable));
  HEADRACE_TRY(std::vector<Value> items, elements(runtime_, iterable));
  const uint64_t bytes = 2 * items.size() * sizeof(Value);
  HEADRACE_TRY(ForLoop* const loop, runtime_.make<ForLoop>(bytes, *this, s, scope_, std::move(items)));
  bool any = false;
  for (Flow flow = Flow::next; flow != Flow::break_loop;) {
    HEADRACE_TRY(const std::optional<Value> item, loop->next());
    if (!item) break;
    any = true;
    if (iterations_left_-- == 0) {
      iterations_left_ = 0;
      return make_error(Errc::out_of_budget, "the template's loops take more than {} turns",
                        kMaxLoopIterations);
    }
    HEADRACE_TRY(Scope* const scope, new_scope(scope_));
    {
      const Inside inside(*this, scope);
      scope->set("loop", Value(static_cast<Loop*>(loop)));
      HEADRACE_RETURN_IF_ERROR(assign(s.target, *item));
      HEADRACE_TRY(flow, run(s.body));
    }
    release(scope);
  }
  loop->leave();
  if (any || s.otherwise.empty()) return Flow::next;
  HEADRACE_TRY(Scope* const scope, new_scope(scope_));
  const Inside inside(*this, scope);
  return run(s.otherwise);
}

Result<Interpreter::Flow> Interpreter::execute(const SetStatement& s) {
  HEADRACE_TRY(const Value value, evaluate(*s.value));
  HEADRACE_RETURN_IF_ERROR(assign(s.target, value));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const SetBlock& s) {
  HEADRACE_TRY(Scope* const scope, new_scope(scope_));
  HEADRACE_TRY(Text text, capture(s.body, scope));
  HEADRACE_TRY(const Value value,
               s.filter ? apply_block_filter(*s.filter, std::move(text)) : runtime_.text(std::move(text)));
  HEADRACE_RETURN_IF_ERROR(assign(s.target, value));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const FilterBlock& s) {
  HEADRACE_TRY(Scope* const scope, new_scope(scope_));
  HEADRACE_TRY(Text text, capture(s.body, scope));
  HEADRACE_TRY(const Value value, apply_block_filter(*s.filter, std::move(text)));
  HEADRACE_TRY(const Text filtered, to_text(runtime_, value));
  HEADRACE_RETURN_IF_ERROR(write(filtered));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const MacroStatement& s) {
  HEADRACE_TRY(const Value macro, make_macro(s.macro));
  scope_->set(s.macro.name, macro);
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const CallBlock& s) {
  const CallExpr& call_expr = std::get<CallExpr>(s.call->node);
  HEADRACE_TRY(const Value callee, evaluate(*call_expr.callee));
  HEADRACE_TRY(CallArguments args, evaluate_arguments(call_expr.arguments));
  HEADRACE_TRY(const Value caller, make_macro(s.caller));
  args.named.emplace_back("caller", caller);
  HEADRACE_TRY(const Value value, call(callee, args));
  HEADRACE_TRY(const Text text, to_text(runtime_, value));
  HEADRACE_RETURN_IF_ERROR(write(text));
  return Flow::next;
}

Result<Interpreter::Flow> Interpreter::execute(const ScopedBlock& s) {
  HEADRACE_TRY(Scope* const scope, new_scope(scope_));
  for (const auto& [target, expr] : s.assignments) {
    HEADRACE_TRY(const Value value, evaluate(*expr));  // sees the names outside of the block
    const Inside inside(*this, scope);
    HEADRACE_RETURN_IF_ERROR(assign(target, value));
  }
  Result<Flow> flow = Flow::next;
  {
    const Inside inside(*this, scope);
    flow = run(s.body);
  }
  release(scope);
  return flow;
}

Result<Interpreter::Flow> Interpreter::execute(const BreakStatement&) {
  return Flow::break_loop;
}

Result<Interpreter::Flow> Interpreter::execute(const ContinueStatement&) {
  return Flow::continue_loop;
}

Result<Text> interpret(const Body& body, const Variables& variables, Runtime& runtime) {
  return Interpreter(runtime).render(body, variables);
}

}  // namespace headrace::jinja
