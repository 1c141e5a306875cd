#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/loop.h"
#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

// Attributes that Python gives the type, or nothing.
Result<std::optional<Value>> native_attribute(Runtime& runtime, const Value& object,
                                              const std::string& name) {
  if (name.starts_with("__") && name.ends_with("__")) {
    HEADRACE_TRY(
        const StringObject* reason,
        runtime.make<StringObject>(name.size(), fmt::format("access to attribute '{}' is unsafe", name)));
    return std::optional(Value::undefined_because(&reason->string));
  }
  if (object.is(Kind::name_space)) {
    for (const auto& [key, value] : object.name_space().attributes) {
      if (key == name) return std::optional(value);
    }
    return std::optional<Value>();
  }
  if (object.is(Kind::loop)) {
    if (has_method(object, name)) {
      HEADRACE_TRY(const Method* method, runtime.make<Method>(0, object, name));
      return std::optional(Value(method));
    }
    return object.loop().attribute(name);
  }
  if (!has_method(object, name)) return std::optional<Value>();
  if (is_mutating_method(object, name)) {
    HEADRACE_TRY(
        const StringObject* reason,
        runtime.make<StringObject>(name.size(), fmt::format("'{}' would change a {}, which templates may not",
                                                            name, type_name(object))));
    return std::optional(Value::undefined_because(&reason->string));
  }
  HEADRACE_TRY(const Method* method, runtime.make<Method>(0, object, name));
  return std::optional(Value(method));
}

// What Python's object[index] gives; nothing where it raises LookupError or TypeError.
Result<std::optional<Value>> item(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is(Kind::dict)) {
    if (!is_hashable(index)) return std::optional<Value>();
    HEADRACE_TRY(const Value* found, find_key(runtime, object.dict(), index));
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (!index.is_integral()) return std::optional<Value>();
  const bool is_text = object.is_text();
  if (!is_text && !(object.is(Kind::sequence) && object.sequence().has_index()))
    return std::optional<Value>();
  const int64_t size =
      static_cast<int64_t>(is_text ? object.text().characters() : object.sequence().items.size());
  const int64_t at = index.integer() < 0 ? index.integer() + size : index.integer();
  if (at < 0 || at >= size) return std::optional<Value>();
  if (!is_text) return std::optional(object.sequence().items[static_cast<size_t>(at)]);
  HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(object.text().size()));
  const size_t begin = object.text().position_of(static_cast<size_t>(at));
  const size_t end = begin + decode_utf8(object.text().view(), begin).size;
  HEADRACE_TRY(const Value character, runtime.text(object.text().slice(begin, end)));
  return std::optional(character);
}

// The elements that a slice visits: start, start + stride, ...
struct Steps {
  int64_t start;
  int64_t stride;
  size_t count;
};

// As Python's slice.indices().
Result<Steps> slice_steps(Runtime& runtime, size_t size, const Value& start, const Value& stop,
                          const Value& step) {
  for (const Value* bound : {&start, &stop, &step}) {
    if (bound->is_undefined()) return type_error("{}", bound->why_undefined());
    if (!bound->is_none() && !bound->is_integral()) {
      return type_error("slices need int bounds, not {}", type_name(*bound));
    }
  }
  const int64_t n = static_cast<int64_t>(size);
  // A stride beyond the size visits one element, whatever it is.
  const int64_t stride = step.is_none() ? 1 : std::clamp(step.integer(), -n - 1, n + 1);
  if (stride == 0) return type_error("a slice's step can't be zero");
  const int64_t lowest = stride < 0 ? -1 : 0;
  const int64_t highest = stride < 0 ? n - 1 : n;
  const auto bound = [&](const Value& value, int64_t missing) {
    if (value.is_none()) return missing;
    const int64_t i = value.integer();
    return std::clamp(i < 0 ? i + n : i, lowest, highest);
  };
  const int64_t first = bound(start, stride < 0 ? highest : lowest);
  const int64_t end = bound(stop, stride < 0 ? lowest : highest);
  const int64_t span = stride < 0 ? first - end : end - first;
  const int64_t width = stride < 0 ? -stride : stride;
  const size_t count = span <= 0 ? 0 : static_cast<size_t>((span - 1) / width + 1);
  HEADRACE_RETURN_IF_ERROR(runtime.work(1 + (stride == 1 ? 0 : count)));
  return Steps{first, stride, count};
}

Result<Value> slice_text(Runtime& runtime, const Text& text, const Steps& steps) {
  const size_t first = static_cast<size_t>(steps.start);
  if (steps.count == 0) return runtime.text(Text());
  if (steps.stride == 1) {
    return runtime.text(text.slice(text.position_of(first), text.position_of(first + steps.count)));
  }
  HEADRACE_TRY(const std::vector<Value> all, characters(runtime, text));
  Text picked;
  for (size_t i = 0; i < steps.count; ++i) {
    picked.append(all[static_cast<size_t>(steps.start + static_cast<int64_t>(i) * steps.stride)].text());
  }
  return runtime.text(std::move(picked));
}

}  // namespace

Result<std::vector<Value>> characters(Runtime& runtime, const Text& text) {
  std::vector<Value> result;
  for (size_t i = 0; i < text.size();) {
    const size_t end = i + decode_utf8(text.view(), i).size;
    HEADRACE_TRY(const Value character, runtime.text(text.slice(i, end)));
    result.push_back(character);
    i = end;
  }
  return result;
}

Result<std::vector<Value>> elements(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return std::vector<Value>();
    case Kind::text:
      return characters(runtime, value.text());
    case Kind::dict: {
      HEADRACE_RETURN_IF_ERROR(runtime.work(value.dict().entries.size()));
      std::vector<Value> keys;
      for (const auto& [key, entry] : value.dict().entries) keys.push_back(key);
      return keys;
    }
    case Kind::sequence: {
      const Sequence& sequence = value.sequence();
      HEADRACE_RETURN_IF_ERROR(runtime.work(sequence.items.size() / 4));
      if (sequence.flavor != Sequence::Flavor::iterator) return sequence.items;
      if (std::exchange(sequence.consumed, true)) return std::vector<Value>();
      return sequence.items;
    }
    case Kind::loop:
      return not_supported("iterating over 'loop' is not supported");
    default:
      return type_error("{} is not iterable", type_name(value));
  }
}

Result<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return int64_t{0};
    case Kind::text:
      return static_cast<int64_t>(value.text().characters());
    case Kind::dict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::sequence:
      if (value.sequence().has_length()) return static_cast<int64_t>(value.sequence().items.size());
      break;
    default:
      break;
  }
  return type_error("{} has no length", type_name(value));
}

Result<Value> attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_undefined()) return type_error("{}", object.why_undefined());
  HEADRACE_TRY(const std::optional<Value> native, native_attribute(runtime, object, name));
  if (native) return *native;
  if (object.is(Kind::dict)) {
    HEADRACE_RETURN_IF_ERROR(runtime.work(1 + object.dict().entries.size() / 4));
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return Value::undefined(&name);
}

Result<Value> subscript(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is_undefined()) return type_error("{}", object.why_undefined());
  HEADRACE_TRY(const std::optional<Value> found, item(runtime, object, index));
  if (found) return *found;
  if (index.is(Kind::integer)) {
    HEADRACE_TRY(const StringObject* reason,
                 runtime.make<StringObject>(
                     0, fmt::format("the {} has no element {}", type_name(object), index.integer())));
    return Value::undefined_because(&reason->string);
  }
  if (!index.is_text()) return Value::undefined(nullptr);
  const std::string& name = index.text().bytes();
  HEADRACE_TRY(const std::optional<Value> native, native_attribute(runtime, object, name));
  return native ? *native : Value::undefined(&name);
}

Result<Value> slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                    const Value& step) {
  if (object.is_undefined()) return type_error("{}", object.why_undefined());
  if (object.is_text()) {
    HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(object.text().size()));
    HEADRACE_TRY(const Steps steps, slice_steps(runtime, object.text().characters(), start, stop, step));
    return slice_text(runtime, object.text(), steps);
  }
  if (object.is(Kind::sequence) && object.sequence().has_index()) {
    const std::vector<Value>& all = object.sequence().items;
    HEADRACE_TRY(const Steps steps, slice_steps(runtime, all.size(), start, stop, step));
    std::vector<Value> items;
    for (size_t i = 0; i < steps.count; ++i) {
      items.push_back(all[static_cast<size_t>(steps.start + static_cast<int64_t>(i) * steps.stride)]);
    }
    return runtime.sequence(object.sequence().flavor, std::move(items));
  }
  return type_error("{} can't be sliced", type_name(object));
}

}  // namespace headrace::jinja
