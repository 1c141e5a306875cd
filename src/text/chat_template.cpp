#include "text/chat_template.h"

#include <limits>
#include <utility>

#include "core/file.h"
#include "core/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/runtime.h"

namespace headrace {
namespace {

using jinja::Runtime;
using jinja::Value;
using Json = nlohmann::ordered_json;

Result<Value> untrusted_text(Runtime& runtime, const std::string& text) {
  if (is_valid_utf8(text)) return runtime.text(text, false);
  return runtime.text(to_valid_utf8(text), false);
}

Result<Value> to_value(Runtime& runtime, const Json& json) {
  const jinja::Nested level(runtime);
  HEADRACE_RETURN_IF_ERROR(level.status());
  switch (json.type()) {
    case Json::value_t::null:
      return Value();
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const uint64_t number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return jinja::not_supported("integer {} does not fit 64 bits with sign", number);
      }
      return Value(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return untrusted_text(runtime, json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& element : json) {
        HEADRACE_TRY(const Value item, to_value(runtime, element));
        items.push_back(item);
      }
      return runtime.list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<jinja::Dict::Entry> entries;
      for (const auto& [name, element] : json.items()) {
        HEADRACE_TRY(const Value key, untrusted_text(runtime, name));
        HEADRACE_TRY(const Value value, to_value(runtime, element));
        entries.emplace_back(key, value);
      }
      return runtime.dict(std::move(entries));
    }
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return jinja::type_error("a value that JSON does not have");
}

Result<Value> special_token(Runtime& runtime, const std::string& token) {
  if (is_valid_utf8(token)) return runtime.text(token, true);
  return runtime.text(to_valid_utf8(token), true);
}

Result<jinja::Variables> variables_of(Runtime& runtime, const ChatInput& input) {
  if (!input.messages.is_array())
    return jinja::type_error("messages: expected an array, found {}", input.messages.type_name());
  if (!input.extra.is_null() && !input.extra.is_object()) {
    return jinja::type_error("extra variables: expected an object, found {}", input.extra.type_name());
  }
  jinja::Variables variables;
  variables.emplace_back("documents", Value());
  for (const auto& [name, json] : input.extra.items()) {
    HEADRACE_TRY(const Value value, to_value(runtime, json));
    variables.emplace_back(name, value);
  }
  HEADRACE_TRY(const Value messages, to_value(runtime, input.messages));
  HEADRACE_TRY(const Value tools, to_value(runtime, input.tools));
  HEADRACE_TRY(const Value bos, special_token(runtime, input.bos_token));
  HEADRACE_TRY(const Value eos, special_token(runtime, input.eos_token));
  variables.emplace_back("messages", messages);
  variables.emplace_back("tools", tools);
  variables.emplace_back("add_generation_prompt", Value(input.add_generation_prompt));
  variables.emplace_back("bos_token", bos);
  variables.emplace_back("eos_token", eos);
  return variables;
}

}  // namespace

Json to_json(const std::vector<ChatMessage>& messages) {
  Json array = Json::array();
  for (const ChatMessage& message : messages) {
    array.push_back({{"role", message.role}, {"content", message.content}});
  }
  return array;
}

struct ChatTemplate::Program {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::string name, std::unique_ptr<const Program> program)
    : name_(std::move(name)), program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&& other) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&& other) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string name) {
  name = printable(name);
  Result<jinja::Body> body = jinja::parse_template(source);
  if (!body) {
    return make_error(body.error().code, "chat template {} {}", name, body.error().message);
  }
  return ChatTemplate(std::move(name), std::make_unique<const Program>(Program{std::move(body).value()}));
}

Result<std::vector<TextPiece>> ChatTemplate::render(const ChatInput& input) const {
  Runtime runtime(input.now.value_or(std::time(nullptr)));
  HEADRACE_TRY(const jinja::Variables variables, variables_of(runtime, input));
  const Result<jinja::Text> text = jinja::interpret(program_->body, variables, runtime);
  if (!text) return make_error(text.error().code, "chat template {} {}", name_, text.error().message);
  return text->pieces();
}

}  // namespace headrace
