// What one rendering owns and may spend: its values, its budget of work, its clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "text/jinja/limits.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

/// Not thread-safe; one per rendering. Every refusal for size or time is out_of_budget and names the limit.
class Runtime {
 public:
  explicit Runtime(std::time_t now) : now_(now) {}

  /// Books `units` of work.
  Status work(uint64_t units);
  Status work_on_bytes(size_t bytes) { return work(1 + bytes / 32); }
  /// Refuses if values of `bytes` more would not fit: asked before an operation that multiplies sizes.
  Status fits(uint64_t bytes) const;

  Result<Value> text(Text text);
  Result<Value> text(std::string_view bytes, bool trusted) { return text(Text(bytes, trusted)); }
  Result<Value> sequence(Sequence::Flavor flavor, std::vector<Value> items);
  Result<Value> list(std::vector<Value> items) { return sequence(Sequence::Flavor::list, std::move(items)); }
  Result<Value> tuple(std::vector<Value> items) {
    return sequence(Sequence::Flavor::tuple, std::move(items));
  }
  /// Keys must differ; see Python's build_dict for entries where they may not.
  Result<Value> dict(std::vector<Dict::Entry> entries);

  /// An object that lives as long as the rendering; `bytes` is what it is charged beyond its own size.
  template <typename T, typename... Args>
  Result<T*> make(uint64_t bytes, Args&&... args) {
    HEADRACE_RETURN_IF_ERROR(reserve(sizeof(T) + bytes));
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T* raw = object.get();
    objects_.push_back(std::move(object));
    return raw;
  }
  Status reserve(uint64_t bytes);

  std::time_t now() const { return now_; }

 private:
  friend class Nested;
  std::vector<std::unique_ptr<Object>> objects_;
  uint64_t work_left_ = kMaxWork;
  uint64_t bytes_left_ = kMaxValueBytes;
  size_t depth_ = 0;
  std::time_t now_;
};

/// One level of recursion, held while it lasts; ask status() before going on.
class Nested {
 public:
  explicit Nested(Runtime& runtime) : runtime_(runtime) { ++runtime_.depth_; }
  ~Nested() { --runtime_.depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  Status status() const;

 private:
  Runtime& runtime_;
};

/// An error about the values at hand: the template and this conversation do not go together.
template <typename... Args>
Error type_error(fmt::format_string<Args...> format, Args&&... args) {
  return Error{Errc::usage, fmt::format(format, std::forward<Args>(args)...)};
}

/// A valid template asks for something that is not implemented.
template <typename... Args>
Error not_supported(fmt::format_string<Args...> format, Args&&... args) {
  return Error{Errc::unsupported, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace headrace::jinja
