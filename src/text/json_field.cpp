#include "text/json_field.h"

namespace headrace {

JsonField JsonField::operator[](std::string_view key) const {
  static const nlohmann::json kNull;
  std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  if (value_->is_object()) {
    const auto member = value_->find(key);
    if (member != value_->end()) return {*member, std::move(path)};
  }
  return {kNull, std::move(path)};
}

Result<std::string> JsonField::string() const {
  if (!value_->is_string()) return wrong("a string");
  return value_->get<std::string>();
}

Result<int64_t> JsonField::integer() const {
  if (value_->is_number_integer() &&
      !(value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX})) {
    return value_->get<int64_t>();
  }
  return wrong("an integer");
}

Result<bool> JsonField::boolean() const {
  if (!value_->is_boolean()) return wrong("true or false");
  return value_->get<bool>();
}

Result<bool> JsonField::boolean_or(bool otherwise) const {
  if (is_null()) return otherwise;
  return boolean();
}

Result<std::vector<JsonField>> JsonField::elements() const {
  if (!value_->is_array()) return wrong("an array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    fields.emplace_back(element, fmt::format("{}[{}]", path_, fields.size()));
  }
  return fields;
}

Result<std::string> JsonField::type() const {
  if (!value_->is_object()) return wrong("an object");
  return (*this)["type"].string();
}

Error JsonField::wrong(std::string_view expected) const {
  const std::string_view found = is_null() ? "none" : std::string_view(value_->type_name());
  return make_error(Errc::bad_model, "{}: expected {}, found {}", path_, expected, found);
}

}  // namespace headrace
