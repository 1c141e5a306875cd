// Errors are values. A function that can fail returns Result<T> (or Status for nothing), never throws, and
// says in the message what it was about: file, field, expected, found.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace headrace {

/// Why something failed. The list is closed: the command line maps each to an exit code (cli/exit_codes.h).
enum class Errc {
  usage,          // the caller asked for something that makes no sense
  not_found,      // a file, a model name or a tensor that does not exist
  io,             // the system refused to read or write
  bad_model,      // a model file is corrupt or contradicts itself
  unsupported,    // a valid file asks for something that Headrace does not do
  out_of_budget,  // memory or context would not suffice
  network,        // a download failed
  cancelled,      // the user or a deadline stopped it
  mismatch,       // results that must have the same bits differ
  incomplete,     // a check ended without having shown all that it should
};

std::string_view name_of(Errc code);

struct Error {
  Errc code;
  std::string message;

  /// The same error with `context` and ": " in front of its message.
  Error in(std::string_view context) &&;
};

template <typename... Args>
Error make_error(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

/// A value or an Error. `value()` on an error aborts with the error's message: that is a bug of ours.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return state_.index() == 0; }
  T& value() &;
  const T& value() const&;
  T&& value() &&;
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return !error_.has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

/// Prints the message to stderr and aborts. Only for our own bugs, never for outside input.
[[noreturn]] void panic(std::string_view message, const char* file, int line);

template <typename T>
T& Result<T>::value() & {
  if (!*this) panic(error().message, __FILE__, __LINE__);
  return std::get<0>(state_);
}
template <typename T>
const T& Result<T>::value() const& {
  if (!*this) panic(error().message, __FILE__, __LINE__);
  return std::get<0>(state_);
}
template <typename T>
T&& Result<T>::value() && {
  if (!*this) panic(error().message, __FILE__, __LINE__);
  return std::get<0>(std::move(state_));
}

}  // namespace headrace

// Checks an invariant of our own code; stays on in release builds.
#define HEADRACE_CHECK(condition) \
  ((condition) ? void() : ::headrace::panic("check failed: " #condition, __FILE__, __LINE__))

#define HEADRACE_JOIN_(a, b) a##b
#define HEADRACE_JOIN(a, b) HEADRACE_JOIN_(a, b)

// HEADRACE_TRY(auto file, MappedFile::open(path)); returns the error of a failed expression to the caller.
#define HEADRACE_TRY(declaration, expression) \
  HEADRACE_TRY_(HEADRACE_JOIN(result_, __LINE__), declaration, expression)
#define HEADRACE_TRY_(result, declaration, expression) \
  auto result = (expression);                          \
  if (!(result)) return std::move(result).error();     \
  declaration = std::move(result).value()

// The same for an expression whose value is not wanted.
#define HEADRACE_RETURN_IF_ERROR(expression)                                      \
  do {                                                                            \
    if (auto status_ = (expression); !status_) return std::move(status_).error(); \
  } while (false)
