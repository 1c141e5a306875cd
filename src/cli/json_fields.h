// The fields of a JSON object from outside, read strictly: each is asked for by name, and what nobody asked
// for is refused.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headrace::cli {

/// Why a request is not answered, in the words of OpenAI's error objects.
struct Refusal {
  std::string code;     // "invalid_value", ...
  std::string message;  // names the field
  std::string param;    // the field, or empty
};

/// Reads fields one by one; null is as good as missing. The first thing wrong is kept, and what comes after
/// it reads as missing, so that a reader needs to look only once.
class JsonFields {
 public:
  using Json = nlohmann::ordered_json;

  /// `path` begins each name in messages: "body." or nothing. Both must outlive this object.
  JsonFields(const Json& object, std::string path, std::optional<Refusal>& refusal)
      : object_(object), path_(std::move(path)), refusal_(refusal) {}

  /// The field's value; nullptr if it is missing, or if something was refused before.
  const Json* take(std::string_view key);
  /// The same, and missing is refused.
  const Json* require(std::string_view key);

  void text(std::string_view key, std::string& out);
  void flag(std::string_view key, bool& out);
  void real(std::string_view key, float& out, double low, double high);
  template <typename T>
  void integer(std::string_view key, T& out, int64_t low, int64_t high) {
    if (const std::optional<int64_t> value = integer_within(key, low, high)) out = static_cast<T>(*value);
  }
  template <typename T>
  void integer(std::string_view key, std::optional<T>& out, int64_t low, int64_t high) {
    if (const std::optional<int64_t> value = integer_within(key, low, high)) out = static_cast<T>(*value);
  }

  /// Refuses the field's value: "body.KEY: expected EXPECTED, found ...".
  void wrong(std::string_view key, std::string_view expected, const Json& found);
  void refuse(std::string_view key, std::string code, std::string_view why);
  /// Refuses fields that nobody has asked for, unless they are null.
  void refuse_others();

  bool refused() const { return refusal_.has_value(); }

 private:
  std::optional<int64_t> integer_within(std::string_view key, int64_t low, int64_t high);

  const Json& object_;
  std::string path_;
  std::optional<Refusal>& refusal_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace headrace::cli
