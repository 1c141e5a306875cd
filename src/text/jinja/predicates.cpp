// What stands behind `is`.
#include <array>

#include "core/file.h"
#include "core/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

template <bool (*holds)(const Value&)>
Result<bool> simple(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("test", args, {}));
  return holds(input);
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.is(Kind::boolean);
}
bool is_true(const Value& v) {
  return v.is(Kind::boolean) && v.boolean();
}
bool is_false(const Value& v) {
  return v.is(Kind::boolean) && !v.boolean();
}
bool is_integer(const Value& v) {
  return v.is(Kind::integer);
}
bool is_float(const Value& v) {
  return v.is(Kind::real);
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_string(const Value& v) {
  return v.is_text();
}
bool is_mapping(const Value& v) {
  return v.is(Kind::dict);
}
bool is_sequence(const Value& v) {  // what has a length and can be indexed; jinja2's Undefined is among them
  if (v.is(Kind::sequence)) return v.sequence().has_index();
  return v.is_text() || v.is(Kind::dict) || v.is_undefined();
}
bool is_iterable(const Value& v) {
  return v.is(Kind::sequence) || v.is_text() || v.is(Kind::dict) || v.is_undefined() || v.is(Kind::loop);
}
bool is_callable(const Value& v) {
  return v.is(Kind::macro) || v.is(Kind::method) || v.is(Kind::function) || v.is_undefined() ||
         v.is(Kind::loop);
}
bool is_escaped(const Value& value) {
  return value.is_text() && value.text().is_safe();
}

// At least one letter with case, and none of the other case.
Result<bool> has_case(Runtime& runtime, const Value& input, const CallArguments& args, bool upper_case) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind(upper_case ? "upper" : "lower", args, {}));
  HEADRACE_TRY(const Text text, to_text(runtime, input));
  bool found = false;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.view(), i);
    const bool is_upper = to_lower(c.code_point) != c.code_point;
    const bool is_lower = to_upper(c.code_point) != c.code_point;
    if (upper_case ? is_lower : is_upper) return false;
    found |= is_upper || is_lower;
    i += c.size;
  }
  return found;
}

Result<bool> test_upper(Runtime& runtime, const Value& input, const CallArguments& args) {
  return has_case(runtime, input, args, true);
}
Result<bool> test_lower(Runtime& runtime, const Value& input, const CallArguments& args) {
  return has_case(runtime, input, args, false);
}

Result<bool> remainder_is(Runtime& runtime, const Value& input, const Value& divisor, int64_t wanted) {
  HEADRACE_TRY(const Value remainder, arithmetic(runtime, BinaryOp::modulo, input, divisor));
  return equal(runtime, remainder, Value(wanted));
}

Result<bool> test_odd(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("odd", args, {}));
  return remainder_is(runtime, input, Value(int64_t{2}), 1);
}
Result<bool> test_even(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("even", args, {}));
  return remainder_is(runtime, input, Value(int64_t{2}), 0);
}
Result<bool> test_divisibleby(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("divisibleby", args, {"num"}));
  HEADRACE_TRY(const Value divisor, bound.required(0));
  return remainder_is(runtime, input, divisor, 0);
}

template <CompareOp op>
Result<bool> test_compare(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("comparison", args, {"other"}));
  HEADRACE_TRY(const Value other, bound.required(0));
  return compare(runtime, op, input, other);
}

Result<bool> test_sameas(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("sameas", args, {"other"}));
  HEADRACE_TRY(const Value other, bound.required(0));
  if (input.kind() != other.kind()) return false;
  if (input.is_number() || input.is_none()) return equal(runtime, input, other);
  return input.same_object(other);
}

Result<bool> test_filter(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("filter", args, {}));
  return input.is_text() && find_filter(input.text().view()) != nullptr;
}
Result<bool> test_test(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("test", args, {}));
  return input.is_text() && find_test(input.text().view()) != nullptr;
}

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr NamedTest kTests[] = {
    {"!=", test_compare<CompareOp::not_equal>},
    {"<", test_compare<CompareOp::less>},
    {"<=", test_compare<CompareOp::less_equal>},
    {"==", test_compare<CompareOp::equal>},
    {">", test_compare<CompareOp::greater>},
    {">=", test_compare<CompareOp::greater_equal>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", test_divisibleby},
    {"eq", test_compare<CompareOp::equal>},
    {"equalto", test_compare<CompareOp::equal>},
    {"escaped", simple<is_escaped>},
    {"even", test_even},
    {"false", simple<is_false>},
    {"filter", test_filter},
    {"float", simple<is_float>},
    {"ge", test_compare<CompareOp::greater_equal>},
    {"greaterthan", test_compare<CompareOp::greater>},
    {"gt", test_compare<CompareOp::greater>},
    {"in", test_compare<CompareOp::in>},
    {"integer", simple<is_integer>},
    {"iterable", simple<is_iterable>},
    {"le", test_compare<CompareOp::less_equal>},
    {"lessthan", test_compare<CompareOp::less>},
    {"lower", test_lower},
    {"lt", test_compare<CompareOp::less>},
    {"mapping", simple<is_mapping>},
    {"ne", test_compare<CompareOp::not_equal>},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", test_odd},
    {"sameas", test_sameas},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", test_test},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", test_upper},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const NamedTest& entry : kTests) {
    if (entry.name == name) return entry.test;
  }
  return nullptr;
}

Result<bool> apply_test(Runtime& runtime, std::string_view name, const Value& input,
                        const CallArguments& args) {
  const Test test = find_test(name);
  if (test == nullptr) return not_supported("test '{}' is not supported", printable(name));
  HEADRACE_RETURN_IF_ERROR(runtime.work(1));
  return test(runtime, input, args);
}

}  // namespace headrace::jinja
