#include "cli/batch_answer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/fnv.h"
#include "core/utf8.h"
#include "text/stream_detokenizer.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinities; OpenAI reports this for what is as good as impossible.
constexpr double kLeastLogprob = -9999;

std::string hex_id(std::string_view prefix, uint64_t number) {
  return fmt::format("{}{:016x}", prefix, number);
}

double number_of(double logprob) {
  return logprob >= kLeastLogprob ? logprob : kLeastLogprob;
}

size_t characters_in(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += decode_utf8(text, at).size) ++count;
  return count;
}

Json token_json(const Tokenizer& tokenizer, int32_t token, double logprob) {
  const std::string_view piece = tokenizer.piece(token);
  Json bytes = Json::array();
  for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", to_valid_utf8(piece)}, {"logprob", number_of(logprob)}, {"bytes", std::move(bytes)}};
}

Json chat_logprobs(const Tokenizer& tokenizer, std::span<const Draw> draws) {
  Json content = Json::array();
  for (const Draw& draw : draws) {
    Json item = token_json(tokenizer, draw.token, draw.logprob);
    Json top = Json::array();
    for (const TokenLogprob& other : draw.top)
      top.push_back(token_json(tokenizer, other.token, other.logprob));
    item["top_logprobs"] = std::move(top);
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// A token that is no text of its own is spelled by its bytes, as OpenAI does: "bytes:\xe2\x82".
std::string token_key(const Tokenizer& tokenizer, int32_t token) {
  const std::string_view piece = tokenizer.piece(token);
  if (is_valid_utf8(piece)) return std::string(piece);
  std::string key = "bytes:";
  for (const char byte : piece) key += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return key;
}

Json top_json(const Tokenizer& tokenizer, const Draw& draw) {
  Json top = Json::object();
  // Of tokens that are the same text the likeliest counts; the drawn one is there in any case.
  for (const TokenLogprob& other : draw.top) {
    const std::string key = token_key(tokenizer, other.token);
    if (!top.contains(key)) top[key] = number_of(other.logprob);
  }
  const std::string drawn = token_key(tokenizer, draw.token);
  if (!top.contains(drawn)) top[drawn] = number_of(draw.logprob);
  return top;
}

Json completion_logprobs(const Tokenizer& tokenizer, std::span<const Draw> draws) {
  Json tokens = Json::array();
  Json logprobs = Json::array();
  Json tops = Json::array();
  Json offsets = Json::array();
  StreamDetokenizer text(tokenizer);
  size_t offset = 0;  // in characters; tokens that share one begin where it does
  for (const Draw& draw : draws) {
    tokens.push_back(token_key(tokenizer, draw.token));
    logprobs.push_back(number_of(draw.logprob));
    tops.push_back(top_json(tokenizer, draw));
    offsets.push_back(offset);
    offset += characters_in(text.push(draw.token));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json choice_json(const BatchRequest& request, const Tokenizer& tokenizer, size_t index,
                 const BatchChoice& choice) {
  const bool chat = request.endpoint == BatchEndpoint::chat;
  Json out = {{"index", index}};
  if (chat)
    out["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  else
    out["text"] = choice.text;
  out["logprobs"] = nullptr;
  if (request.sampling.logprobs) {
    out["logprobs"] =
        chat ? chat_logprobs(tokenizer, choice.draws) : completion_logprobs(tokenizer, choice.draws);
  }
  out["finish_reason"] = choice.reached_limit ? "length" : "stop";
  return out;
}

Json usage_json(uint32_t prompt_tokens, std::span<const BatchChoice> choices) {
  uint64_t generated = 0;
  DraftTally drafts;
  bool drafted = false;
  for (const BatchChoice& choice : choices) {
    generated += choice.tokens;
    drafted |= choice.drafts.has_value();
    if (!choice.drafts) continue;
    drafts.tokens += choice.drafts->tokens;
    drafts.accepted += choice.drafts->accepted;
  }
  Json usage = {{"prompt_tokens", prompt_tokens},
                {"completion_tokens", generated},
                {"total_tokens", prompt_tokens + generated}};
  if (drafted) {
    usage["completion_tokens_details"] = {{"accepted_prediction_tokens", drafts.accepted},
                                          {"rejected_prediction_tokens", drafts.tokens - drafts.accepted}};
  }
  return usage;
}

Json body_json(const BatchRequest& request, const Tokenizer& tokenizer, std::string_view model,
               uint32_t prompt_tokens, std::span<const BatchChoice> choices) {
  const bool chat = request.endpoint == BatchEndpoint::chat;
  Json list = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) list.push_back(choice_json(request, tokenizer, i, choices[i]));
  return {{"id", hex_id(chat ? "chatcmpl-" : "cmpl-", fnv1a(request.custom_id))},
          {"object", chat ? "chat.completion" : "text_completion"},
          {"created", 0},
          {"model", request.model.empty() ? model : request.model},
          {"choices", std::move(list)},
          {"usage", usage_json(prompt_tokens, choices)}};
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string answer_line(const BatchRequest& request, const Tokenizer& tokenizer, std::string_view model,
                        uint32_t prompt_tokens, std::span<const BatchChoice> choices) {
  const uint64_t hash = fnv1a(request.custom_id);
  return dump({{"id", hex_id("batch_req_", hash)},
               {"custom_id", request.custom_id},
               {"response",
                {{"status_code", 200},
                 {"request_id", hex_id("req_", hash)},
                 {"body", body_json(request, tokenizer, model, prompt_tokens, choices)}}},
               {"error", nullptr}});
}

std::string error_line(const BatchInputLine& line, const std::optional<std::string>& custom_id,
                       const Refusal& refusal, bool responded) {
  const uint64_t hash = custom_id ? fnv1a(*custom_id) : line.hash;
  Json out = {{"id", hex_id("batch_req_", hash)}, {"custom_id", nullptr}, {"line", line.number}};
  if (custom_id) out["custom_id"] = *custom_id;
  out["response"] = nullptr;
  if (responded) {
    Json error = {{"message", refusal.message}, {"type", "invalid_request_error"}, {"param", nullptr}};
    if (!refusal.param.empty()) error["param"] = refusal.param;
    error["code"] = refusal.code;
    out["response"] = {
        {"status_code", 400}, {"request_id", hex_id("req_", hash)}, {"body", {{"error", std::move(error)}}}};
  }
  out["error"] = {{"code", refusal.code}, {"message", refusal.message}};
  return dump(out);
}

}  // namespace headrace::cli
