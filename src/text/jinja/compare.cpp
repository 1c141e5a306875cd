#include <algorithm>
#include <cmath>

#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

// Exact order of an int and a float, as Python has it; unordered for NaN.
std::partial_ordering order_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() <=> b.integer();
  if (a.is(Kind::real) && b.is(Kind::real)) return a.real() <=> b.real();
  if (a.is(Kind::real)) return 0 <=> order_numbers(b, a);
  const double real = b.real();
  if (std::isnan(real)) return std::partial_ordering::unordered;
  constexpr double kTwo63 = 9223372036854775808.0;
  if (real >= kTwo63) return std::partial_ordering::less;
  if (real < -kTwo63) return std::partial_ordering::greater;
  const double whole = std::trunc(real);
  const auto order = a.integer() <=> static_cast<int64_t>(whole);
  return order != 0 ? std::partial_ordering(order) : whole <=> real;
}

bool same_flavor_for_equality(const Sequence& a, const Sequence& b) {
  return a.flavor == b.flavor && a.flavor != Sequence::Flavor::iterator && a.flavor != Sequence::Flavor::view;
}

Result<bool> equal_sequences(Runtime& runtime, const Sequence& a, const Sequence& b) {
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    HEADRACE_TRY(const bool same, equal(runtime, a.items[i], b.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    HEADRACE_TRY(const Value* other, find_key(runtime, b, key));
    if (other == nullptr) return false;
    HEADRACE_TRY(const bool same, equal(runtime, value, *other));
    if (!same) return false;
  }
  return true;
}

Error undefined_error(const Value& a, const Value& b) {
  return type_error("{}", a.is_undefined() ? a.why_undefined() : b.why_undefined());
}

}  // namespace

Result<bool> truth(Runtime&, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean();
    case Kind::integer:
      return value.integer() != 0;
    case Kind::real:
      return value.real() != 0;
    case Kind::text:
      return !value.text().empty();
    case Kind::sequence:
      return !value.sequence().has_length() || !value.sequence().items.empty();
    case Kind::dict:
      return !value.dict().entries.empty();
    case Kind::name_space:
    case Kind::macro:
    case Kind::loop:
    case Kind::method:
    case Kind::function:
      return true;
  }
  return true;
}

Result<bool> equal(Runtime& runtime, const Value& a, const Value& b) {
  const Nested level(runtime);
  HEADRACE_RETURN_IF_ERROR(level.status());
  HEADRACE_RETURN_IF_ERROR(runtime.work(1));
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::text: {
      if (a.text().size() != b.text().size()) return false;
      HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(a.text().size()));
      return a.text().view() == b.text().view();
    }
    case Kind::sequence:
      if (a.same_object(b)) return true;
      if (!same_flavor_for_equality(a.sequence(), b.sequence())) return false;
      return equal_sequences(runtime, a.sequence(), b.sequence());
    case Kind::dict:
      return a.same_object(b) ? Result<bool>(true) : equal_dicts(runtime, a.dict(), b.dict());
    default:
      return a.same_object(b);
  }
}

Result<bool> less(Runtime& runtime, const Value& a, const Value& b) {
  const Nested level(runtime);
  HEADRACE_RETURN_IF_ERROR(level.status());
  HEADRACE_RETURN_IF_ERROR(runtime.work(1));
  if (a.is_undefined() || b.is_undefined()) return undefined_error(a, b);
  if (a.is_number() && b.is_number()) return order_numbers(a, b) < 0;
  if (a.is_text() && b.is_text()) {
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(std::min(a.text().size(), b.text().size())));
    return a.text().view() < b.text().view();  // byte order of UTF-8 is code point order
  }
  if (a.is(Kind::sequence) && b.is(Kind::sequence) && a.sequence().flavor == b.sequence().flavor &&
      (a.sequence().flavor == Sequence::Flavor::list || a.sequence().flavor == Sequence::Flavor::tuple)) {
    const auto& x = a.sequence().items;
    const auto& y = b.sequence().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      HEADRACE_TRY(const bool same, equal(runtime, x[i], y[i]));
      if (!same) return less(runtime, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  return type_error("can't order {} and {}", type_name(a), type_name(b));
}

Result<bool> compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  const auto negated = [](Result<bool> result) -> Result<bool> {
    HEADRACE_TRY(const bool value, std::move(result));
    return !value;
  };
  // With NaN neither a < b nor b <= a holds, so <= isn't the opposite of >.
  const bool has_nan =
      (a.is(Kind::real) && std::isnan(a.real())) || (b.is(Kind::real) && std::isnan(b.real()));
  switch (op) {
    case CompareOp::equal:
      return equal(runtime, a, b);
    case CompareOp::not_equal:
      return negated(equal(runtime, a, b));
    case CompareOp::less:
      return less(runtime, a, b);
    case CompareOp::greater:
      return less(runtime, b, a);
    case CompareOp::less_equal:
      return has_nan ? less(runtime, a, b) : negated(less(runtime, b, a));
    case CompareOp::greater_equal:
      return has_nan ? less(runtime, b, a) : negated(less(runtime, a, b));
    case CompareOp::in:
      return contains(runtime, b, a);
    case CompareOp::not_in:
      return negated(contains(runtime, b, a));
  }
  return false;
}

Result<bool> contains(Runtime& runtime, const Value& haystack, const Value& needle) {
  if (haystack.is_text()) {
    if (!needle.is_text()) return type_error("'in' a str needs a str, not {}", type_name(needle));
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(haystack.text().size()));
    return haystack.text().view().find(needle.text().view()) != std::string_view::npos;
  }
  if (haystack.is(Kind::dict)) {
    if (!is_hashable(needle)) return type_error("{} can't be the key of a dict", type_name(needle));
    HEADRACE_TRY(const Value* found, find_key(runtime, haystack.dict(), needle));
    return found != nullptr;
  }
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, haystack));
  for (const Value& item : items) {
    HEADRACE_TRY(const bool same, equal(runtime, item, needle));
    if (same) return true;
  }
  return false;
}

bool is_hashable(const Value& value) {
  if (value.is(Kind::dict)) return false;
  if (!value.is(Kind::sequence)) return true;
  const Sequence& sequence = value.sequence();
  if (sequence.flavor == Sequence::Flavor::list || sequence.flavor == Sequence::Flavor::view) return false;
  // A tuple's elements decide, one level deep: enough for every key that a template can write down usefully.
  return std::none_of(sequence.items.begin(), sequence.items.end(),
                      [](const Value& v) { return v.is(Kind::dict) || v.is(Kind::sequence); });
}

Result<const Value*> find_key(Runtime& runtime, const Dict& dict, const Value& key) {
  HEADRACE_RETURN_IF_ERROR(runtime.work(1 + dict.entries.size() / 4));
  if (key.is_text()) return dict.find(key.text().view());
  for (const auto& [name, value] : dict.entries) {
    HEADRACE_TRY(const bool same, equal(runtime, name, key));
    if (same) return &value;
  }
  return nullptr;
}

Result<Value> build_dict(Runtime& runtime, std::vector<Dict::Entry> entries) {
  std::vector<Dict::Entry> unique;
  for (Dict::Entry& entry : entries) {
    if (!is_hashable(entry.first)) return type_error("{} can't be the key of a dict", type_name(entry.first));
    auto place = unique.begin();
    for (; place != unique.end(); ++place) {
      HEADRACE_TRY(const bool same, equal(runtime, place->first, entry.first));
      if (same) break;
    }
    if (place == unique.end()) {
      unique.push_back(entry);
    } else {
      place->second = entry.second;
    }
  }
  return runtime.dict(std::move(unique));
}

// A merge sort of our own: std::sort may run out of its range when the order is none (NaN, or an error
// midway).
Result<std::vector<Value>> sort_by(Runtime& runtime, const std::vector<Value>& items,
                                   const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<size_t> merged(order.size());
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size());
      const size_t end = std::min(begin + 2 * width, order.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          const Value& a = keys[order[left]];
          const Value& b = keys[order[right]];
          HEADRACE_TRY(take_right, reverse ? less(runtime, a, b) : less(runtime, b, a));
        }
        merged[out] = order[take_right ? right++ : left++];
      }
    }
    order.swap(merged);
  }
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const size_t i : order) sorted.push_back(items[i]);
  return sorted;
}

}  // namespace headrace::jinja
