// A value of a JSON document together with where it stands, so that a message can say so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/result.h"

namespace headrace {

/// Refers to the document. What is missing is a null field. Errors are bad_model: "PATH: expected a string,
/// found a number".
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_array() const { return value_->is_array(); }
  bool is_object() const { return value_->is_object(); }

  /// Null if this is not an object or has no such member.
  JsonField operator[](std::string_view key) const;

  Result<std::string> string() const;
  Result<int64_t> integer() const;
  Result<bool> boolean() const;
  Result<bool> boolean_or(bool otherwise) const;
  /// Of an array.
  Result<std::vector<JsonField>> elements() const;
  /// The string member "type" of an object.
  Result<std::string> type() const;

  Error wrong(std::string_view expected) const;

 private:
  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace headrace
