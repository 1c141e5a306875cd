// Functions that every template can call.
#include <array>
#include <ctime>

#include "core/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/python.h"

namespace headrace::jinja {
namespace {

using Kind = Value::Kind;

Result<Value> call_range(Runtime& runtime, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("range", args, {"start", "stop", "step"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  const bool only_stop = !bound.has(1);
  HEADRACE_TRY(const int64_t start, only_stop ? Result<int64_t>(int64_t{0}) : bound.integer(0, 0));
  HEADRACE_TRY(const int64_t stop, bound.integer(only_stop ? 0 : 1, 0));
  HEADRACE_TRY(const int64_t step, bound.integer(2, 1));
  if (step == 0) return type_error("range() with a step of zero");
  std::vector<Value> items;
  int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (items.size() == kMaxRange) {
      return make_error(Errc::out_of_budget, "range() of more than {} elements", kMaxRange);
    }
    items.push_back(Value(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return runtime.sequence(Sequence::Flavor::range, std::move(items));
}

// The entries of dict(...) and namespace(...): a dict or pairs, then the named arguments.
Result<std::vector<Dict::Entry>> entries_of(Runtime& runtime, std::string_view callee,
                                            const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind(callee, {args.positional, {}}, {"mapping"}));
  std::vector<Dict::Entry> entries;
  if (bound.has(0) && bound[0].is(Kind::dict)) {
    entries = bound[0].dict().entries;
  } else if (bound.has(0)) {
    HEADRACE_TRY(const std::vector<Value> pairs, elements(runtime, bound[0]));
    for (const Value& pair : pairs) {
      HEADRACE_TRY(const std::vector<Value> both, elements(runtime, pair));
      if (both.size() != 2) return type_error("'{}' needs pairs, not {} elements", callee, both.size());
      entries.emplace_back(both[0], both[1]);
    }
  }
  for (const auto& [name, value] : args.named) {
    HEADRACE_TRY(const Value key, runtime.text(name, true));
    entries.emplace_back(key, value);
  }
  return entries;
}

Result<Value> call_dict(Runtime& runtime, const CallArguments& args) {
  HEADRACE_TRY(std::vector<Dict::Entry> entries, entries_of(runtime, "dict", args));
  return build_dict(runtime, std::move(entries));
}

Result<Value> call_namespace(Runtime& runtime, const CallArguments& args) {
  HEADRACE_TRY(const Value dict, call_dict(runtime, args));
  HEADRACE_TRY(Namespace* const name_space, runtime.make<Namespace>(0));
  for (const auto& [key, value] : dict.dict().entries) {
    if (!key.is_text()) return type_error("a namespace's attributes need names, not {}", type_name(key));
    HEADRACE_RETURN_IF_ERROR(set_attribute(runtime, *name_space, key.text().bytes(), value));
  }
  return Value(name_space);
}

Result<Value> call_raise_exception(Runtime& runtime, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("raise_exception", args, {"message"}));
  HEADRACE_TRY(const Value message, bound.required(0));
  HEADRACE_TRY(const Text text, to_text(runtime, message));
  constexpr size_t kMaxMessageBytes = 500;
  return type_error("the template refuses: {}", printable(text.view(), kMaxMessageBytes));
}

Result<Value> call_strftime_now(Runtime& runtime, const CallArguments& args) {
  HEADRACE_TRY(const Bound bound, Bound::bind("strftime_now", args, {"format"}));
  HEADRACE_RETURN_IF_ERROR(bound.required(0));
  HEADRACE_TRY(const Text format, bound.text(0, ""));
  if (format.view().find('\0') != std::string_view::npos)
    return type_error("strftime_now() of a format with a NUL");
  const std::time_t now = runtime.now();
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return type_error("strftime_now() of a time that has no date");
  // The space in front tells an empty result from one that is too long; both give 0 bytes otherwise.
  std::array<char, 1024> buffer;
  const std::string guarded = " " + format.bytes();
  const size_t size = std::strftime(buffer.data(), buffer.size(), guarded.c_str(), &local);
  if (size == 0)
    return make_error(Errc::out_of_budget, "strftime_now() of more than {} bytes", buffer.size());
  return runtime.text(std::string_view(buffer.data() + 1, size - 1), false);
}

template <const char* name>
Result<Value> call_unsupported(Runtime&, const CallArguments&) {
  return not_supported("function '{}' is not supported", name);
}
constexpr char kCycler[] = "cycler";
constexpr char kJoiner[] = "joiner";
constexpr char kLipsum[] = "lipsum";

constexpr Function kFunctions[] = {
    {"cycler", call_unsupported<kCycler>},
    {"dict", call_dict},
    {"joiner", call_unsupported<kJoiner>},
    {"lipsum", call_unsupported<kLipsum>},
    {"namespace", call_namespace},
    {"raise_exception", call_raise_exception},
    {"range", call_range},
    {"strftime_now", call_strftime_now},
};

}  // namespace

const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

Status set_attribute(Runtime& runtime, Namespace& name_space, const std::string& name, const Value& value) {
  if (name.starts_with("_")) return type_error("a namespace can't have the attribute '{}'", printable(name));
  HEADRACE_RETURN_IF_ERROR(runtime.work(1 + name_space.attributes.size() / 4));
  for (auto& [key, old] : name_space.attributes) {
    if (key != name) continue;
    old = value;
    return {};
  }
  HEADRACE_RETURN_IF_ERROR(runtime.reserve(name.size() + sizeof(name_space.attributes[0])));
  name_space.attributes.emplace_back(name, value);
  return {};
}

}  // namespace headrace::jinja
