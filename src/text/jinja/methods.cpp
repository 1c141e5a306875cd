// Methods of str, dict and list that templates call.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "core/file.h"
#include "core/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/loop.h"
#include "text/jinja/python.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

// Python's own names decide what an attribute means: a dict's `items` is its method even if it has such a
// key.
constexpr std::array<std::string_view, 47> kTextMethods = {
    "capitalize", "casefold",     "center",       "count",   "encode",     "endswith",    "expandtabs",
    "find",       "format",       "format_map",   "index",   "isalnum",    "isalpha",     "isascii",
    "isdecimal",  "isdigit",      "isidentifier", "islower", "isnumeric",  "isprintable", "isspace",
    "istitle",    "isupper",      "join",         "ljust",   "lower",      "lstrip",      "maketrans",
    "partition",  "removeprefix", "removesuffix", "replace", "rfind",      "rindex",      "rjust",
    "rpartition", "rsplit",       "rstrip",       "split",   "splitlines", "startswith",  "strip",
    "swapcase",   "title",        "translate",    "upper",   "zfill"};
constexpr std::array<std::string_view, 11> kDictMethods = {
    "clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"};
constexpr std::array<std::string_view, 5> kMutatingDictMethods = {"clear", "pop", "popitem", "setdefault",
                                                                  "update"};
constexpr std::array<std::string_view, 11> kListMethods = {
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 8> kMutatingListMethods = {"append", "clear",  "extend",  "insert",
                                                                  "pop",    "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 2> kTupleMethods = {"count", "index"};
constexpr std::array<std::string_view, 9> kIntegerAttributes = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "imag",      "numerator",  "real"};
constexpr std::array<std::string_view, 7> kRealAttributes = {
    "as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "is_integer", "real"};
constexpr std::array<std::string_view, 2> kLoopMethods = {"cycle", "changed"};

std::span<const std::string_view> methods_of(const Value& value) {
  switch (value.kind()) {
    case Kind::text:
      return kTextMethods;
    case Kind::dict:
      return kDictMethods;
    case Kind::boolean:
    case Kind::integer:
      return kIntegerAttributes;
    case Kind::real:
      return kRealAttributes;
    case Kind::loop:
      return kLoopMethods;
    case Kind::sequence:
      if (value.sequence().flavor == Sequence::Flavor::list) return kListMethods;
      if (value.sequence().has_index()) return kTupleMethods;
      return {};
    default:
      return {};
  }
}

bool has_name(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Call {
  Runtime& runtime;
  const Text& self;
  std::string_view name;
  const CallArguments& args;
};

Result<Value> strip_method(const Call& call, Side side) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"chars"}));
  if (!bound.has(0) || bound[0].is_none()) return call.runtime.text(strip(call.self, side, std::nullopt));
  HEADRACE_TRY(const Text chars, bound.text(0, ""));
  HEADRACE_RETURN_IF_ERROR(
      call.runtime.work_on_bytes(chars.size() * std::min<size_t>(call.self.size(), 1024)));
  return call.runtime.text(strip(call.self, side, chars.view()));
}

Result<Value> text_list(Runtime& runtime, const std::vector<Text>& parts) {
  std::vector<Value> items;
  for (const Text& part : parts) {
    HEADRACE_TRY(const Value item, runtime.text(part));
    items.push_back(item);
  }
  return runtime.list(std::move(items));
}

Result<Value> split_method(const Call& call, bool from_right) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"sep", "maxsplit"}));
  HEADRACE_TRY(const int64_t max, bound.integer(1, -1));
  HEADRACE_RETURN_IF_ERROR(call.runtime.work_on_bytes(call.self.size()));
  if (!bound.has(0) || bound[0].is_none())
    return text_list(call.runtime, split_words(call.self, max, from_right));
  HEADRACE_TRY(const Text separator, bound.text(0, ""));
  if (separator.empty()) return type_error("'{}' with an empty separator", call.name);
  return text_list(call.runtime, split(call.self, separator.view(), max, from_right));
}

Result<Value> partition_method(const Call& call, bool from_right) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"sep"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_TRY(const Text separator, bound.text(0, ""));
  if (separator.empty()) return type_error("'{}' with an empty separator", call.name);
  std::vector<Text> parts = split(call.self, separator.view(), 1, from_right);
  if (parts.size() == 2) {
    parts.insert(parts.begin() + 1, separator);
  } else {
    parts.resize(3);
    if (from_right) std::swap(parts[0], parts[2]);
  }
  std::vector<Value> items;
  for (Text& part : parts) {
    HEADRACE_TRY(const Value item, call.runtime.text(std::move(part)));
    items.push_back(item);
  }
  return call.runtime.tuple(std::move(items));
}

Result<Value> affix_method(const Call& call, bool at_start) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"affix"}));
  HEADRACE_TRY(const Value affix, bound.required(0));
  const auto matches = [&call, at_start](const Value& v) -> Result<bool> {
    if (v.is_undefined()) return type_error("{}", v.why_undefined());
    if (!v.is_text()) return type_error("'{}' needs a str, not {}", call.name, type_name(v));
    const std::string_view bytes = call.self.view();
    return at_start ? bytes.starts_with(v.text().view()) : bytes.ends_with(v.text().view());
  };
  std::vector<Value> candidates = {affix};
  if (affix.is(Kind::sequence) && affix.sequence().flavor == Sequence::Flavor::tuple) {
    candidates = affix.sequence().items;
  }
  for (const Value& candidate : candidates) {
    HEADRACE_TRY(const bool found, matches(candidate));
    if (found) return Value(true);
  }
  return Value(false);
}

Result<Value> remove_affix_method(const Call& call, bool at_start) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"affix"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_TRY(const Text affix, bound.text(0, ""));
  const std::string_view bytes = call.self.view();
  if (at_start && bytes.starts_with(affix.view()))
    return call.runtime.text(call.self.slice(affix.size(), bytes.size()));
  if (!at_start && bytes.ends_with(affix.view()))
    return call.runtime.text(call.self.slice(0, bytes.size() - affix.size()));
  return call.runtime.text(call.self);
}

Result<Value> replace_method(const Call& call) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"old", "new", "count"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_RETURN_IF_ERROR(bound.required(1));
  HEADRACE_TRY(const Text old_part, bound.text(0, ""));
  HEADRACE_TRY(const Text new_part, bound.text(1, ""));
  HEADRACE_TRY(const int64_t count, bound.integer(2, -1));
  HEADRACE_TRY(Text result, replace(call.runtime, call.self, old_part.view(), new_part, count));
  return call.runtime.text(std::move(result));
}

Result<Value> join_method(const Call& call) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"iterable"}));
  HEADRACE_TRY(const Value iterable, bound.required(0));
  HEADRACE_TRY(const std::vector<Value> items, elements(call.runtime, iterable));
  std::vector<Text> parts;
  for (const Value& item : items) {
    if (!item.is_text()) return type_error("'join' needs str elements, not {}", type_name(item));
    parts.push_back(item.text());
  }
  HEADRACE_TRY(Text result, join(call.runtime, call.self, parts));
  return call.runtime.text(std::move(result));
}

Result<Value> find_method(const Call& call, bool from_right, bool must_find) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"sub"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_TRY(const Text needle, bound.text(0, ""));
  HEADRACE_RETURN_IF_ERROR(call.runtime.work_on_bytes(call.self.size()));
  const std::string_view bytes = call.self.view();
  const size_t found = from_right ? bytes.rfind(needle.view()) : bytes.find(needle.view());
  if (found != std::string_view::npos) return Value(static_cast<int64_t>(call.self.character_at(found)));
  if (must_find) return type_error("'{}' found nothing", call.name);
  return Value(int64_t{-1});
}

Result<Value> count_method(const Call& call) {
  HEADRACE_TRY(const Bound bound, Bound::bind(call.name, call.args, {"sub"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_TRY(const Text needle, bound.text(0, ""));
  HEADRACE_RETURN_IF_ERROR(call.runtime.work_on_bytes(call.self.size()));
  if (needle.empty()) return Value(static_cast<int64_t>(call.self.characters()) + 1);
  int64_t count = 0;
  const std::string_view bytes = call.self.view();
  for (size_t at = bytes.find(needle.view()); at != std::string_view::npos;
       at = bytes.find(needle.view(), at + needle.size())) {
    ++count;
  }
  return Value(count);
}

bool is_cased(uint32_t c) {
  return to_lower(c) != c || to_upper(c) != c;
}

bool all_characters(const Text& text, bool (*holds)(uint32_t)) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.view(), i);
    if (!holds(c.code_point)) return false;
    i += c.size;
  }
  return !text.empty();
}

// str.title() starts a new word behind every character that is not a letter; ours, behind those without case.
bool ends_word(uint32_t c) {
  return !is_cased(c);
}

using SimpleMethod = Result<Value> (*)(const Call& call);

template <Text (*operation)(const Text&)>
Result<Value> mapped(const Call& call) {
  Text result = operation(call.self);
  result.mark_safe(call.self.is_safe());
  return call.runtime.text(std::move(result));
}

template <bool (*holds)(uint32_t)>
Result<Value> asks(const Call& call) {
  return Value(all_characters(call.self, holds));
}

template <bool (*holds)(uint32_t)>
Result<Value> asks_ascii(const Call& call) {
  if (call.self.size() != call.self.characters()) {
    return not_supported("method '{}' of a str beyond ASCII is not supported", call.name);
  }
  return Value(all_characters(call.self, holds));
}

Text title_of(const Text& text) {
  return title(text, ends_word);
}
bool is_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}
bool is_letter_or_digit(uint32_t c) {
  return is_cased(c) || is_digit(c);
}

// Methods without arguments.
constexpr std::pair<std::string_view, SimpleMethod> kSimpleMethods[] = {
    {"capitalize", mapped<capitalize>}, {"isalnum", asks_ascii<is_letter_or_digit>},
    {"isalpha", asks_ascii<is_cased>},  {"isdigit", asks_ascii<is_digit>},
    {"isspace", asks<is_space>},        {"lower", mapped<lower>},
    {"title", mapped<title_of>},        {"upper", mapped<upper>},
};

Result<Value> simple_text_method(const Call& call) {
  for (const auto& [name, method] : kSimpleMethods) {
    if (name != call.name) continue;
    HEADRACE_RETURN_IF_ERROR(Bound::bind(name, call.args, {}));
    return method(call);
  }
  return not_supported("method '{}' of a str is not supported", call.name);
}

Result<Value> text_method(Runtime& runtime, const Text& self, std::string_view name,
                          const CallArguments& args) {
  const Call call{runtime, self, name, args};
  HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(self.size()));
  if (name == "strip") return strip_method(call, Side::both);
  if (name == "lstrip") return strip_method(call, Side::left);
  if (name == "rstrip") return strip_method(call, Side::right);
  if (name == "split") return split_method(call, false);
  if (name == "rsplit") return split_method(call, true);
  if (name == "partition") return partition_method(call, false);
  if (name == "rpartition") return partition_method(call, true);
  if (name == "startswith") return affix_method(call, true);
  if (name == "endswith") return affix_method(call, false);
  if (name == "removeprefix") return remove_affix_method(call, true);
  if (name == "removesuffix") return remove_affix_method(call, false);
  if (self.is_safe() && (name == "replace" || name == "join" || name == "format"))
    return not_supported("method '{}' of a str that is marked safe is not supported", name);
  if (name == "replace") return replace_method(call);
  if (name == "join") return join_method(call);
  if (name == "format") return format_text(runtime, self, args);
  if (name == "find") return find_method(call, false, false);
  if (name == "rfind") return find_method(call, true, false);
  if (name == "index") return find_method(call, false, true);
  if (name == "rindex") return find_method(call, true, true);
  if (name == "count") return count_method(call);
  if (name == "splitlines") {
    HEADRACE_TRY(const Bound bound, Bound::bind(name, args, {"keepends"}));
    HEADRACE_TRY(const bool keep, bound.flag(runtime, 0, false));
    return text_list(runtime, split_lines(self, keep));
  }
  return simple_text_method(call);
}

Result<Value> dict_method(Runtime& runtime, const Dict& self, std::string_view name,
                          const CallArguments& args) {
  if (name == "get") {
    HEADRACE_TRY(const Bound bound, Bound::bind(name, args, {"key", "default"}));
    HEADRACE_TRY(const Value key, bound.required(0));
    if (!is_hashable(key)) return type_error("{} can't be the key of a dict", type_name(key));
    HEADRACE_TRY(const Value* found, find_key(runtime, self, key));
    if (found != nullptr) return *found;
    return bound.has(1) ? bound[1] : Value();
  }
  if (name != "copy" && name != "items" && name != "keys" && name != "values") {
    return not_supported("method '{}' of a dict is not supported", name);
  }
  HEADRACE_RETURN_IF_ERROR(Bound::bind(name, args, {}));
  if (name == "copy") return runtime.dict(self.entries);
  std::vector<Value> items;
  for (const auto& [key, value] : self.entries) {
    Value item = name == "keys" ? key : value;
    if (name == "items") {
      HEADRACE_TRY(item, runtime.tuple({key, value}));
    }
    items.push_back(item);
  }
  return runtime.sequence(Sequence::Flavor::view, std::move(items));
}

Result<Value> sequence_method(Runtime& runtime, const Sequence& self, std::string_view name,
                              const CallArguments& args) {
  if (name == "copy") {
    HEADRACE_RETURN_IF_ERROR(Bound::bind(name, args, {}));
    return runtime.sequence(self.flavor, self.items);
  }
  HEADRACE_TRY(const Bound bound, Bound::bind(name, args, {"value"}));
  HEADRACE_TRY(const Value value, bound.required(0));
  int64_t count = 0;
  for (size_t i = 0; i < self.items.size(); ++i) {
    HEADRACE_TRY(const bool same, equal(runtime, self.items[i], value));
    if (same && name == "index") return Value(static_cast<int64_t>(i));
    count += same ? 1 : 0;
  }
  if (name == "index") return type_error("'index' found nothing");
  return Value(count);
}

}  // namespace

bool has_method(const Value& receiver, std::string_view name) {
  return has_name(methods_of(receiver), name);
}

bool is_mutating_method(const Value& receiver, std::string_view name) {
  if (receiver.is(Kind::dict)) return has_name(kMutatingDictMethods, name);
  const bool is_list = receiver.is(Kind::sequence) && receiver.sequence().flavor == Sequence::Flavor::list;
  return is_list && has_name(kMutatingListMethods, name);
}

Result<Value> call_method(Runtime& runtime, const Value& receiver, std::string_view name,
                          const CallArguments& args) {
  switch (receiver.kind()) {
    case Kind::text:
      return text_method(runtime, receiver.text(), name, args);
    case Kind::dict:
      return dict_method(runtime, receiver.dict(), name, args);
    case Kind::sequence:
      return sequence_method(runtime, receiver.sequence(), name, args);
    case Kind::loop:
      return receiver.loop().call(name, args);
    default:
      return not_supported("method '{}' of {} is not supported", printable(name), type_name(receiver));
  }
}

}  // namespace headrace::jinja
