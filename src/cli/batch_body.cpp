#include "cli/batch_body.h"

#include <charconv>
#include <limits>

#include "cli/chat_json.h"
#include "cli/fnv.h"
#include "schedule/admission.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

// As the flags of `run` have them: beyond these a logit would overflow sooner than make a point.
constexpr double kMaxTemperature = 1e4;
constexpr double kMaxPenalty = 1e4;
constexpr double kLeastRepeatPenalty = 1e-4;
constexpr double kLeastTopP = 1e-6;
constexpr double kMaxBias = 100;  // as OpenAI's
constexpr int64_t kMaxTokenId = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxTopK = 1 << 22;
constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();
constexpr uint32_t kDefaultCompletionTokens = 16;  // as OpenAI's

void read_stops(JsonFields& fields, std::vector<std::string>& stops) {
  const Json* value = fields.take("stop");
  if (value == nullptr) return;
  if (value->is_string()) {
    stops = {value->get<std::string>()};
    return;
  }
  if (!value->is_array()) return fields.wrong("stop", "a string or an array of strings", *value);
  for (const Json& stop : *value) {
    if (!stop.is_string()) return fields.wrong("stop", "strings only", stop);
    stops.push_back(stop.get<std::string>());
  }
}

void read_seed(JsonFields& fields, uint64_t& seed) {
  const Json* value = fields.take("seed");
  if (value == nullptr) return;
  if (!value->is_number_integer()) return fields.wrong("seed", "an integer of 64 bits", *value);
  seed = value->is_number_unsigned() ? value->get<uint64_t>() : static_cast<uint64_t>(value->get<int64_t>());
}

void read_logit_bias(JsonFields& fields, std::vector<std::pair<int32_t, float>>& biases) {
  const Json* value = fields.take("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object()) return fields.wrong("logit_bias", "an object", *value);
  for (const auto& [key, bias] : value->items()) {
    int32_t token = -1;
    const char* end = key.data() + key.size();
    const auto [stop, error] = std::from_chars(key.data(), end, token);
    if (error != std::errc() || stop != end || token < 0) {
      return fields.wrong("logit_bias", "token ids as keys", Json(key));
    }
    const double number = bias.is_number() ? bias.get<double>() : 2 * kMaxBias;
    if (!(number >= -kMaxBias && number <= kMaxBias)) {
      return fields.wrong("logit_bias", "numbers from -100 to 100", bias);
    }
    biases.emplace_back(token, static_cast<float>(number));
  }
}

void read_sampling(JsonFields& fields, SamplingParams& sampling) {
  // OpenAI's defaults, and none of llama.cpp's filters, which OpenAI doesn't have.
  sampling.temperature = 1;
  sampling.top_p = 1;
  sampling.top_k = 0;
  sampling.min_p = 0;
  sampling.penalty_last_n = -1;
  fields.real("temperature", sampling.temperature, 0, kMaxTemperature);
  fields.real("top_p", sampling.top_p, kLeastTopP, 1);
  fields.real("presence_penalty", sampling.presence_penalty, -kMaxPenalty, kMaxPenalty);
  fields.real("frequency_penalty", sampling.frequency_penalty, -kMaxPenalty, kMaxPenalty);
  fields.integer("top_k", sampling.top_k, -1, kMaxTopK);
  fields.real("min_p", sampling.min_p, 0, 1);
  fields.real("repeat_penalty", sampling.repeat_penalty, kLeastRepeatPenalty, kMaxPenalty);
  fields.integer("repeat_last_n", sampling.penalty_last_n, -1, std::numeric_limits<int32_t>::max());
  read_seed(fields, sampling.seed);
  read_logit_bias(fields, sampling.logit_bias);
}

// What both endpoints have.
void read_common(JsonFields& fields, BatchRequest& request) {
  fields.text("model", request.model);
  fields.integer("n", request.n, 1, kMaxBatchChoices);
  fields.integer("max_tokens", request.max_tokens, 1, kMaxTokens);
  read_stops(fields, request.stops);
  read_sampling(fields, request.sampling);
  fields.flag("ignore_eos", request.ignore_eos);
  fields.integer("priority", request.priority, -kMaxPriority, kMaxPriority);
  std::string salt;
  fields.text("cache_salt", salt);
  if (!salt.empty()) request.cache_salt = fnv1a(salt);
  bool stream = false;
  fields.flag("stream", stream);
  if (stream) fields.refuse("stream", "unsupported_value", "a batch has no streams");
  // About the caller's books, not about the answer.
  for (const char* key : {"user", "metadata", "store"}) fields.take(key);
}

void read_response_format(JsonFields& fields) {
  const Json* value = fields.take("response_format");
  if (value == nullptr) return;
  if (!value->is_object()) return fields.wrong("response_format", "an object", *value);
  if (*value != Json{{"type", "text"}}) {
    fields.refuse("response_format", "unsupported_value", "only {\"type\":\"text\"} is built yet");
  }
}

void read_messages(JsonFields& fields, Json& messages) {
  const Json* value = fields.require("messages");
  if (value == nullptr) return;
  if (const Status fine = check_chat_messages(*value, "body"); !fine) {
    return fields.refuse("messages", "invalid_value", fine.error().message);
  }
  if (value->empty()) return fields.refuse("messages", "invalid_value", "is empty");
  messages = *value;
}

void read_tools(JsonFields& fields, Json& tools) {
  if (const Json* value = fields.take("tools")) {
    if (!value->is_array()) return fields.wrong("tools", "an array", *value);
    tools = *value;
  }
  const Json* choice = fields.take("tool_choice");
  if (choice != nullptr && *choice != "auto") {
    fields.refuse("tool_choice", "unsupported_value", "only \"auto\" is built yet");
  }
}

void read_chat(JsonFields& fields, BatchRequest& request) {
  read_messages(fields, request.messages);
  read_tools(fields, request.tools);
  std::optional<uint32_t> completion_tokens;
  fields.integer("max_completion_tokens", completion_tokens, 1, kMaxTokens);
  if (request.max_tokens && completion_tokens && *request.max_tokens != *completion_tokens) {
    fields.refuse("max_tokens", "invalid_value", "differs from body.max_completion_tokens, its newer name");
  }
  if (completion_tokens) request.max_tokens = completion_tokens;
  std::optional<uint32_t> top;
  fields.flag("logprobs", request.sampling.logprobs);
  fields.integer("top_logprobs", top, 0, kMaxChatTopLogprobs);
  if (top && !request.sampling.logprobs) {
    fields.refuse("top_logprobs", "invalid_value", "needs body.logprobs to be true");
  }
  request.sampling.n_top_logprobs = top.value_or(0);
  read_response_format(fields);
}

void read_prompt(JsonFields& fields, BatchRequest& request) {
  const Json* value = fields.require("prompt");
  if (value == nullptr) return;
  if (value->is_string()) {
    request.prompt = value->get<std::string>();
    return;
  }
  constexpr std::string_view kExpected = "a string or an array of token ids";
  if (!value->is_array()) return fields.wrong("prompt", kExpected, *value);
  std::vector<int32_t> tokens;
  tokens.reserve(value->size());
  for (const Json& token : *value) {
    if (token.is_string() || token.is_array()) {
      return fields.refuse("prompt", "unsupported_value",
                           "several prompts in one request: give each a line of its own");
    }
    const bool fits = token.is_number_unsigned() && token.get<uint64_t>() <= uint64_t{kMaxTokenId};
    if (!fits) return fields.wrong("prompt", kExpected, token);
    tokens.push_back(token.get<int32_t>());
  }
  request.prompt = std::move(tokens);
}

void read_completion(JsonFields& fields, BatchRequest& request) {
  read_prompt(fields, request);
  if (!request.max_tokens) request.max_tokens = kDefaultCompletionTokens;
  std::optional<uint32_t> logprobs;
  fields.integer("logprobs", logprobs, 0, kMaxCompletionLogprobs);
  request.sampling.logprobs = logprobs.has_value();
  request.sampling.n_top_logprobs = logprobs.value_or(0);
  bool echo = false;
  fields.flag("echo", echo);
  if (echo) fields.refuse("echo", "unsupported_value", "is not built yet");
  if (fields.take("suffix") != nullptr) {
    fields.refuse("suffix", "unsupported_value", "inserting text is not built yet");
  }
}

}  // namespace

void read_batch_body(const Json& body, BatchRequest& request, std::optional<Refusal>& refusal) {
  JsonFields fields(body, "body.", refusal);
  read_common(fields, request);
  if (request.endpoint == BatchEndpoint::chat)
    read_chat(fields, request);
  else
    read_completion(fields, request);
  fields.refuse_others();
}

}  // namespace headrace::cli
