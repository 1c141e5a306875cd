#include <cmath>

#include "text/jinja/python.h"
#include "text/jinja/text_ops.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

std::string_view spelling(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
      return "+";
    case BinaryOp::subtract:
      return "-";
    case BinaryOp::multiply:
      return "*";
    case BinaryOp::divide:
      return "/";
    case BinaryOp::floor_divide:
      return "//";
    case BinaryOp::modulo:
      return "%";
    case BinaryOp::power:
      return "**";
    case BinaryOp::logical_and:
      return "and";
    case BinaryOp::logical_or:
      return "or";
  }
  return "?";
}

Error overflow() {
  return make_error(Errc::unsupported, "integer result does not fit 64 bits");
}

Result<Value> integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent /= 2;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value(result);
}

Result<Value> integers(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::add:
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value(result);
    case BinaryOp::subtract:
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value(result);
    case BinaryOp::multiply:
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value(result);
    case BinaryOp::power:
      if (b >= 0) return integer_power(a, b);
      if (a == 0) return type_error("0 can't be raised to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
    default:
      break;
  }
  if (b == 0) return type_error("division by zero");
  if (op == BinaryOp::divide) return Value(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one divisor that can overflow
    if (op == BinaryOp::modulo) return Value(int64_t{0});
    return integers(BinaryOp::subtract, 0, a);
  }
  // Python rounds towards minus infinity, C++ towards zero.
  const int64_t remainder = a % b;
  const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
  return Value(op == BinaryOp::modulo ? remainder + (adjust ? b : 0) : a / b - (adjust ? 1 : 0));
}

Result<Value> reals(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return Value(a + b);
    case BinaryOp::subtract:
      return Value(a - b);
    case BinaryOp::multiply:
      return Value(a * b);
    case BinaryOp::power: {
      const double result = std::pow(a, b);
      if (a == 0 && b < 0) return type_error("0.0 can't be raised to a negative power");
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
        return not_supported("complex numbers are not supported");
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
        return type_error("float result out of range");
      return Value(result);
    }
    default:
      break;
  }
  if (b == 0) return type_error("division by zero");
  if (op == BinaryOp::divide) return Value(a / b);
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (b < 0) != (remainder < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (op == BinaryOp::modulo) return Value(remainder == 0 ? std::copysign(0.0, b) : remainder);
  const double whole = std::floor(quotient);
  return Value(quotient - whole > 0.5 ? whole + 1 : whole);
}

Result<Value> repeat(Runtime& runtime, const Value& value, int64_t times) {
  const uint64_t count = times > 0 ? static_cast<uint64_t>(times) : 0;
  const uint64_t unit = value.is_text() ? value.text().size() : value.sequence().items.size() * sizeof(Value);
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(count, unit, &bytes)) bytes = UINT64_MAX;
  HEADRACE_RETURN_IF_ERROR(runtime.fits(bytes));
  if (value.is_text()) {
    Text text;
    for (uint64_t i = 0; i < count && unit > 0; ++i) {
      HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(unit));
      text.append(value.text());
    }
    text.mark_safe(value.text().is_safe());
    return runtime.text(std::move(text));
  }
  std::vector<Value> items;
  const std::vector<Value>& part = value.sequence().items;
  for (uint64_t i = 0; i < count && unit > 0; ++i) items.insert(items.end(), part.begin(), part.end());
  return runtime.sequence(value.sequence().flavor, std::move(items));
}

bool is_list_or_tuple(const Value& value) {
  return value.is(Kind::sequence) && (value.sequence().flavor == Sequence::Flavor::list ||
                                      value.sequence().flavor == Sequence::Flavor::tuple);
}

}  // namespace

Result<Value> arithmetic(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return integers(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return reals(op, a.real(), b.real());
  if (a.is_undefined()) return type_error("{}", a.why_undefined());
  if (op == BinaryOp::modulo && a.is_text()) return not_supported("'%' formatting of a str is not supported");
  if (b.is_undefined()) return type_error("{}", b.why_undefined());
  if (op == BinaryOp::add && a.is_text() && b.is_text()) {
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(a.text().size() + b.text().size()));
    const bool safe = a.text().is_safe() || b.text().is_safe();
    Text sum = safe && !a.text().is_safe() ? escape_html(a.text()) : a.text();
    if (safe && !b.text().is_safe()) {
      sum.append(escape_html(b.text()));
    } else {
      sum.append(b.text());
    }
    sum.mark_safe(safe);
    return runtime.text(std::move(sum));
  }
  if (op == BinaryOp::add && is_list_or_tuple(a) && is_list_or_tuple(b) &&
      a.sequence().flavor == b.sequence().flavor) {
    std::vector<Value> items = a.sequence().items;
    items.insert(items.end(), b.sequence().items.begin(), b.sequence().items.end());
    return runtime.sequence(a.sequence().flavor, std::move(items));
  }
  if (op == BinaryOp::multiply && (a.is_text() || is_list_or_tuple(a)) && b.is_integral()) {
    return repeat(runtime, a, b.integer());
  }
  if (op == BinaryOp::multiply && (b.is_text() || is_list_or_tuple(b)) && a.is_integral()) {
    return repeat(runtime, b, a.integer());
  }
  return type_error("'{}' does not go with {} and {}", spelling(op), type_name(a), type_name(b));
}

Result<Value> negate(const Value& value) {
  if (value.is_integral()) return integers(BinaryOp::subtract, 0, value.integer());
  if (value.is(Kind::real)) return Value(-value.real());
  if (value.is_undefined()) return type_error("{}", value.why_undefined());
  return type_error("'-' does not go with {}", type_name(value));
}

}  // namespace headrace::jinja
