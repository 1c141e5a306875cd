#include "cli/json_fields.h"

#include <utility>

#include "core/file.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string describe(const Json& value) {
  if (value.is_number() || value.is_boolean()) return value.dump();
  if (value.is_string()) return "'" + printable(value.get_ref<const std::string&>(), 60) + "'";
  return std::string(value.is_array() ? "an " : value.is_object() ? "an " : "") + value.type_name();
}

}  // namespace

const Json* JsonFields::take(std::string_view key) {
  known_.emplace(key);
  if (refused()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json* JsonFields::require(std::string_view key) {
  const Json* value = take(key);
  if (value == nullptr && !refused()) refuse(key, "missing_field", "missing");
  return value;
}

void JsonFields::text(std::string_view key, std::string& out) {
  const Json* value = take(key);
  if (value == nullptr) return;
  if (!value->is_string()) return wrong(key, "a string", *value);
  out = value->get<std::string>();
}

void JsonFields::flag(std::string_view key, bool& out) {
  const Json* value = take(key);
  if (value == nullptr) return;
  if (!value->is_boolean()) return wrong(key, "true or false", *value);
  out = value->get<bool>();
}

void JsonFields::real(std::string_view key, float& out, double low, double high) {
  const Json* value = take(key);
  if (value == nullptr) return;
  const double number = value->is_number() ? value->get<double>() : high;
  if (!value->is_number() || !(number >= low && number <= high)) {
    return wrong(key, fmt::format("a number from {} to {}", low, high), *value);
  }
  out = static_cast<float>(number);
}

std::optional<int64_t> JsonFields::integer_within(std::string_view key, int64_t low, int64_t high) {
  const Json* value = take(key);
  if (value == nullptr) return std::nullopt;
  // An unsigned number beyond int64_t would read as a negative one.
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() &&
                      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  if (fits) {
    const auto number = value->get<int64_t>();
    if (number >= low && number <= high) return number;
  }
  wrong(key, fmt::format("an integer from {} to {}", low, high), *value);
  return std::nullopt;
}

void JsonFields::wrong(std::string_view key, std::string_view expected, const Json& found) {
  refuse(key, "invalid_value", fmt::format("expected {}, found {}", expected, describe(found)));
}

void JsonFields::refuse(std::string_view key, std::string code, std::string_view why) {
  if (refused()) return;
  const std::string name = printable(key);
  refusal_ = Refusal{std::move(code), fmt::format("{}{}: {}", path_, name, why), name};
}

void JsonFields::refuse_others() {
  for (const auto& [key, value] : object_.items()) {
    if (!value.is_null() && !known_.contains(key)) refuse(key, "unknown_field", "is not a field known here");
  }
}

}  // namespace headrace::cli
