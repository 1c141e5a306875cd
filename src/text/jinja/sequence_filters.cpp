// Filters on lists, dicts and other iterables.
#include <algorithm>
#include <array>

#include "core/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"
#include "text/jinja/text_ops.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;
using Flavor = Sequence::Flavor;

Result<Value> undefined_because(Runtime& runtime, std::string reason) {
  const size_t size = reason.size();
  HEADRACE_TRY(const StringObject* object, runtime.make<StringObject>(size, std::move(reason)));
  return Value::undefined_because(&object->string);
}

// item.a.b.0 for the path "a.b.0"; an int or a missing path work as in jinja2. `fallback` stands in for
// undefined.
Result<Value> follow(Runtime& runtime, Value item, const Value& path, const Value* fallback) {
  if (path.is_none()) return item;
  std::vector<Value> parts = {path};
  if (path.is_text()) {
    parts.clear();
    for (Text& part : split(path.text(), ".", -1, false)) {
      int64_t index = 0;
      const bool is_index = !part.empty() && part.size() < 10 &&
                            part.view().find_first_not_of("0123456789") == std::string_view::npos;
      for (const char c : part.view()) index = is_index ? index * 10 + (c - '0') : 0;
      HEADRACE_TRY(const Value key, is_index ? Result<Value>(Value(index)) : runtime.text(std::move(part)));
      parts.push_back(key);
    }
  }
  for (const Value& part : parts) {
    HEADRACE_TRY(item, subscript(runtime, item, part));
    if (fallback != nullptr && item.is_undefined()) item = *fallback;
  }
  return item;
}

Result<Value> fold_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_text()) return value;
  return runtime.text(lower(value.text()));
}

// What sort, unique, min and max compare: the attribute, without regard to case unless asked for.
Result<std::vector<Value>> sort_keys(Runtime& runtime, const std::vector<Value>& items, const Value& path,
                                     bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    HEADRACE_TRY(const Value key, follow(runtime, item, path, nullptr));
    HEADRACE_TRY(const Value folded, fold_case(runtime, key, case_sensitive));
    keys.push_back(folded);
  }
  return keys;
}

Result<Value> filter_length(Runtime&, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("length", args, {}));
  HEADRACE_TRY(const int64_t size, length(input));
  return Value(size);
}

Result<Value> filter_default(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("default", args, {"default_value", "boolean"}));
  HEADRACE_TRY(const bool boolean, bound.flag(runtime, 1, false));
  HEADRACE_TRY(const bool is_true, truth(runtime, input));
  if (!input.is_undefined() && (!boolean || is_true)) return input;
  if (bound.has(0)) return bound[0];
  return runtime.text(Text());
}

Result<Value> filter_list(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("list", args, {}));
  HEADRACE_TRY(std::vector<Value> items, elements(runtime, input));
  return runtime.list(std::move(items));
}

Result<Value> filter_items(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("items", args, {}));
  std::vector<Value> pairs;
  if (!input.is_undefined()) {
    if (!input.is(Kind::dict)) return type_error("'items' needs a dict, not {}", type_name(input));
    for (const auto& [key, value] : input.dict().entries) {
      HEADRACE_TRY(const Value pair, runtime.tuple({key, value}));
      pairs.push_back(pair);
    }
  }
  return runtime.sequence(Flavor::iterator, std::move(pairs));
}

Result<Value> filter_join(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("join", args, {"d", "attribute"}));
  HEADRACE_TRY(const Text separator, bound.has(0) ? to_text(runtime, bound[0]) : Result<Text>(Text()));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  std::vector<Text> parts;
  for (const Value& item : items) {
    HEADRACE_TRY(const Value part, follow(runtime, item, bound.has(1) ? bound[1] : Value(), nullptr));
    HEADRACE_TRY(Text text, to_text(runtime, part));
    parts.push_back(std::move(text));
  }
  HEADRACE_TRY(Text joined, join(runtime, separator, parts));
  return runtime.text(std::move(joined));
}

Result<Value> filter_first(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("first", args, {}));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  if (items.empty()) return undefined_because(runtime, "no first item, the sequence was empty");
  return items.front();
}

Result<Value> filter_last(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("last", args, {}));
  if (input.is(Kind::sequence) && input.sequence().flavor == Flavor::iterator) {
    return type_error("an iterator has no last item");
  }
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  if (items.empty()) return undefined_because(runtime, "no last item, the sequence was empty");
  return items.back();
}

Result<Value> filter_reverse(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_RETURN_IF_ERROR(Bound::bind("reverse", args, {}));
  if (input.is_text()) return runtime.text(reversed(input.text()));
  const bool is_iterator = input.is(Kind::sequence) && input.sequence().flavor == Flavor::iterator;
  HEADRACE_TRY(std::vector<Value> items, elements(runtime, input));
  std::reverse(items.begin(), items.end());
  return runtime.sequence(is_iterator || input.is_undefined() ? Flavor::list : Flavor::iterator,
                          std::move(items));
}

Result<Value> filter_sort(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("sort", args, {"reverse", "case_sensitive", "attribute"}));
  HEADRACE_TRY(const bool reverse, bound.flag(runtime, 0, false));
  HEADRACE_TRY(const bool case_sensitive, bound.flag(runtime, 1, false));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  std::vector<Value> paths = {bound.has(2) ? bound[2] : Value()};
  if (paths[0].is_text()) {
    const Text all = paths[0].text();
    paths.clear();
    for (Text& path : split(all, ",", -1, false)) {
      HEADRACE_TRY(const Value value, runtime.text(std::move(path)));
      paths.push_back(value);
    }
  }
  std::vector<std::vector<Value>> columns;
  for (const Value& path : paths) {
    HEADRACE_TRY(std::vector<Value> column, sort_keys(runtime, items, path, case_sensitive));
    columns.push_back(std::move(column));
  }
  std::vector<Value> keys;
  for (size_t i = 0; i < items.size(); ++i) {
    std::vector<Value> row;
    for (const std::vector<Value>& column : columns) row.push_back(column[i]);
    HEADRACE_TRY(const Value key, runtime.list(std::move(row)));
    keys.push_back(key);
  }
  HEADRACE_TRY(std::vector<Value> sorted, sort_by(runtime, items, keys, reverse));
  return runtime.list(std::move(sorted));
}

Result<Value> filter_dictsort(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("dictsort", args, {"case_sensitive", "by", "reverse"}));
  HEADRACE_TRY(const bool case_sensitive, bound.flag(runtime, 0, false));
  HEADRACE_TRY(const Text by, bound.text(1, "key"));
  HEADRACE_TRY(const bool reverse, bound.flag(runtime, 2, false));
  if (!input.is(Kind::dict)) return type_error("'dictsort' needs a dict, not {}", type_name(input));
  if (by.view() != "key" && by.view() != "value") return type_error("'dictsort' sorts by key or value");
  std::vector<Value> pairs;
  std::vector<Value> keys;
  for (const auto& [key, value] : input.dict().entries) {
    HEADRACE_TRY(const Value pair, runtime.tuple({key, value}));
    HEADRACE_TRY(const Value folded, fold_case(runtime, by.view() == "key" ? key : value, case_sensitive));
    pairs.push_back(pair);
    keys.push_back(folded);
  }
  HEADRACE_TRY(std::vector<Value> sorted, sort_by(runtime, pairs, keys, reverse));
  return runtime.list(std::move(sorted));
}

Result<Value> filter_unique(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("unique", args, {"case_sensitive", "attribute"}));
  HEADRACE_TRY(const bool case_sensitive, bound.flag(runtime, 0, false));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  HEADRACE_TRY(const std::vector<Value> keys,
               sort_keys(runtime, items, bound.has(1) ? bound[1] : Value(), case_sensitive));
  std::vector<Value> kept;
  std::vector<Value> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!is_hashable(keys[i]))
      return type_error("'unique' can't compare elements of type {}", type_name(keys[i]));
    bool is_new = true;
    for (size_t j = 0; is_new && j < seen.size(); ++j) {
      HEADRACE_TRY(const bool same, equal(runtime, seen[j], keys[i]));
      is_new = !same;
    }
    if (!is_new) continue;
    seen.push_back(keys[i]);
    kept.push_back(items[i]);
  }
  return runtime.sequence(Flavor::iterator, std::move(kept));
}

Result<Value> extreme(Runtime& runtime, const Value& input, const CallArguments& args, bool largest) {
  HEADRACE_TRY(const Bound bound,
               Bound::bind(largest ? "max" : "min", args, {"case_sensitive", "attribute"}));
  HEADRACE_TRY(const bool case_sensitive, bound.flag(runtime, 0, false));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  if (items.empty()) return undefined_because(runtime, "no aggregated item, the sequence was empty");
  HEADRACE_TRY(const std::vector<Value> keys,
               sort_keys(runtime, items, bound.has(1) ? bound[1] : Value(), case_sensitive));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    HEADRACE_TRY(const bool better,
                 largest ? less(runtime, keys[best], keys[i]) : less(runtime, keys[i], keys[best]));
    if (better) best = i;
  }
  return items[best];
}

Result<Value> filter_min(Runtime& runtime, const Value& input, const CallArguments& args) {
  return extreme(runtime, input, args, false);
}
Result<Value> filter_max(Runtime& runtime, const Value& input, const CallArguments& args) {
  return extreme(runtime, input, args, true);
}

Result<Value> filter_sum(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("sum", args, {"attribute", "start"}));
  HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
  Value sum = bound.has(1) ? bound[1] : Value(int64_t{0});
  if (sum.is_text()) return type_error("'sum' can't sum strings, use 'join'");
  for (const Value& item : items) {
    HEADRACE_TRY(const Value term, follow(runtime, item, bound.has(0) ? bound[0] : Value(), nullptr));
    HEADRACE_TRY(sum, arithmetic(runtime, BinaryOp::add, sum, term));
  }
  return sum;
}

// The name of a filter or test that stands first among the arguments, and what follows it.
Result<std::string> take_name(std::string_view caller, CallArguments& args) {
  if (args.positional.empty()) return type_error("'{}' needs an argument", caller);
  const Value name = args.positional.front();
  if (!name.is_text()) return type_error("'{}' needs a name, not {}", caller, type_name(name));
  args.positional.erase(args.positional.begin());
  return name.text().bytes();
}

Result<Value> filter_map(Runtime& runtime, const Value& input, const CallArguments& args) {
  HEADRACE_TRY(const bool any, truth(runtime, input));
  std::vector<Value> mapped;
  if (any) {
    const bool by_attribute = args.positional.empty() && !args.named.empty();
    HEADRACE_TRY(const Bound bound,
                 Bound::bind("map", by_attribute ? args : CallArguments{}, {"attribute", "default"}));
    CallArguments rest = args;
    std::string name;
    if (!by_attribute) {
      HEADRACE_TRY(name, take_name("map", rest));
    }
    const Value* fallback = bound.has(1) && !bound[1].is_none() ? &bound[1] : nullptr;
    HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
    for (const Value& item : items) {
      HEADRACE_TRY(const Value image, by_attribute
                                          ? follow(runtime, item, bound.has(0) ? bound[0] : Value(), fallback)
                                          : apply_filter(runtime, name, item, rest));
      mapped.push_back(image);
    }
  }
  return runtime.sequence(Flavor::iterator, std::move(mapped));
}

Result<Value> pick(Runtime& runtime, const Value& input, const CallArguments& args, std::string_view caller,
                   bool by_attribute, bool keep) {
  HEADRACE_TRY(const bool any, truth(runtime, input));
  std::vector<Value> kept;
  if (any) {
    CallArguments rest = args;
    Value path;
    if (by_attribute) {
      if (rest.positional.empty()) return type_error("'{}' needs the name of an attribute", caller);
      path = rest.positional.front();
      rest.positional.erase(rest.positional.begin());
    }
    std::optional<std::string> test;
    if (!rest.positional.empty()) {
      HEADRACE_TRY(test, take_name(caller, rest));
    }
    HEADRACE_TRY(const std::vector<Value> items, elements(runtime, input));
    for (const Value& item : items) {
      HEADRACE_TRY(const Value subject, follow(runtime, item, path, nullptr));
      HEADRACE_TRY(const bool passed,
                   test ? apply_test(runtime, *test, subject, rest) : truth(runtime, subject));
      if (passed == keep) kept.push_back(item);
    }
  }
  return runtime.sequence(Flavor::iterator, std::move(kept));
}

Result<Value> filter_select(Runtime& runtime, const Value& input, const CallArguments& args) {
  return pick(runtime, input, args, "select", false, true);
}
Result<Value> filter_reject(Runtime& runtime, const Value& input, const CallArguments& args) {
  return pick(runtime, input, args, "reject", false, false);
}
Result<Value> filter_selectattr(Runtime& runtime, const Value& input, const CallArguments& args) {
  return pick(runtime, input, args, "selectattr", true, true);
}
Result<Value> filter_rejectattr(Runtime& runtime, const Value& input, const CallArguments& args) {
  return pick(runtime, input, args, "rejectattr", true, false);
}

constexpr std::array<NamedFilter, 21> kFilters = {{
    {"count", filter_length},      {"d", filter_default},     {"default", filter_default},
    {"dictsort", filter_dictsort}, {"first", filter_first},   {"items", filter_items},
    {"join", filter_join},         {"last", filter_last},     {"length", filter_length},
    {"list", filter_list},         {"map", filter_map},       {"max", filter_max},
    {"min", filter_min},           {"reject", filter_reject}, {"rejectattr", filter_rejectattr},
    {"reverse", filter_reverse},   {"select", filter_select}, {"selectattr", filter_selectattr},
    {"sort", filter_sort},         {"sum", filter_sum},       {"unique", filter_unique},
}};

}  // namespace

std::span<const NamedFilter> sequence_filters() {
  return kFilters;
}

Filter find_filter(std::string_view name) {
  for (const std::span<const NamedFilter> table : {text_filters(), sequence_filters()}) {
    for (const NamedFilter& entry : table) {
      if (entry.name == name) return entry.filter;
    }
  }
  return nullptr;
}

Result<Value> apply_filter(Runtime& runtime, std::string_view name, const Value& input,
                           const CallArguments& args) {
  const Nested level(runtime);  // map('map', ...) comes back here
  HEADRACE_RETURN_IF_ERROR(level.status());
  const Filter filter = find_filter(name);
  if (filter == nullptr) return not_supported("filter '{}' is not supported", printable(name));
  HEADRACE_RETURN_IF_ERROR(runtime.work(1));
  return filter(runtime, input, args);
}

}  // namespace headrace::jinja
