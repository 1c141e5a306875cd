#include "cli/chat_json.h"

#include "cli/json_limits.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

Error wrong_type(std::string_view name, std::string_view field, std::string_view expected,
                 const Json& found) {
  return make_error(Errc::usage, "{}: {}: expected {}, found {}", name, field, expected, found.type_name());
}

Status take_text(const Json& value, std::string_view name, std::string_view field, std::string& out) {
  if (!value.is_string()) return wrong_type(name, field, "a string", value);
  out = value.get<std::string>();
  return {};
}

}  // namespace

Status check_chat_messages(const Json& messages, std::string_view name) {
  if (!messages.is_array()) return wrong_type(name, "messages", "an array", messages);
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object()) return wrong_type(name, fmt::format("messages[{}]", i), "an object", message);
    if (message.contains("role") && !message["role"].is_string()) {
      return wrong_type(name, fmt::format("messages[{}].role", i), "a string", message["role"]);
    }
  }
  return {};
}

Result<ChatInput> parse_chat_json(std::string_view text, std::string_view name, ChatInput input) {
  HEADRACE_TRY(Json json, parse_json_within_limits(text, name));
  if (!json.is_object())
    return make_error(Errc::usage, "{}: expected an object, found {}", name, json.type_name());
  if (!json.contains("messages")) return make_error(Errc::usage, "{}: messages: missing", name);
  input.extra = Json::object();
  for (auto& [key, value] : json.items()) {
    if (key == "messages") {
      HEADRACE_RETURN_IF_ERROR(check_chat_messages(value, name));
      input.messages = std::move(value);
    } else if (key == "tools") {
      if (!value.is_array() && !value.is_null()) return wrong_type(name, key, "an array or null", value);
      input.tools = std::move(value);
    } else if (key == "add_generation_prompt") {
      if (!value.is_boolean()) return wrong_type(name, key, "true or false", value);
      input.add_generation_prompt = value.get<bool>();
    } else if (key == "bos_token") {
      HEADRACE_RETURN_IF_ERROR(take_text(value, name, key, input.bos_token));
    } else if (key == "eos_token") {
      HEADRACE_RETURN_IF_ERROR(take_text(value, name, key, input.eos_token));
    } else {
      input.extra[key] = std::move(value);
    }
  }
  return input;
}

}  // namespace headrace::cli
