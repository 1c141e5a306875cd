#include "cli/batch_prompt.h"

#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include "cli/prompt.h"

namespace headrace::cli {
namespace {

Result<ChatTemplate> template_of(const Tokenizer& tokenizer) {
  if (tokenizer.chat_template().empty()) {
    return make_error(Errc::unsupported, "the model has no chat template; /v1/completions takes plain text");
  }
  return ChatTemplate::parse(tokenizer.chat_template(), "of the model");
}

}  // namespace

BatchPrompts::BatchPrompts(const Tokenizer& tokenizer, std::time_t now)
    : tokenizer_(tokenizer), now_(now), template_(template_of(tokenizer)), ends_(tokenizer) {}

std::variant<std::vector<TokenId>, Refusal> BatchPrompts::chat_tokens(const BatchRequest& request) const {
  if (!template_) return Refusal{"unsupported_value", template_.error().message, "messages"};
  ChatInput input = chat_input(tokenizer_);
  input.messages = request.messages;
  input.tools = request.tools;
  input.now = now_;
  const Result<std::vector<TextPiece>> pieces = template_->render(input);
  if (!pieces) return Refusal{"invalid_value", pieces.error().message, "messages"};
  return tokenizer_.encode(*pieces, true);
}

std::variant<std::vector<TokenId>, Refusal> BatchPrompts::tokens_of(const BatchRequest& request) const {
  if (request.endpoint == BatchEndpoint::chat) return chat_tokens(request);
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&request.prompt)) return *tokens;
  return tokenizer_.encode(std::get<std::string>(request.prompt), {.special = true, .bos = true});
}

std::variant<Request, Refusal> BatchPrompts::make(const BatchRequest& request) const {
  std::variant<std::vector<TokenId>, Refusal> tokens = tokens_of(request);
  if (auto* refusal = std::get_if<Refusal>(&tokens)) return std::move(*refusal);
  Request out;
  out.prompt = std::move(std::get<std::vector<TokenId>>(tokens));
  out.max_new_tokens = request.max_tokens.value_or(std::numeric_limits<uint32_t>::max());
  out.n = request.n;
  out.sampling = request.sampling;
  out.priority = request.priority;
  out.cache_salt = request.cache_salt;
  ends_.apply(out, request.ignore_eos);
  return out;
}

Refusal refusal_of(const Error& error) {
  if (error.code == Errc::out_of_budget) return {"context_length_exceeded", error.message, ""};
  return {"invalid_value", error.message, ""};
}

Result<std::time_t> parse_date(std::string_view text) {
  const auto number = [&](size_t at, size_t digits, int& value) {
    const char* end = text.data() + at + digits;
    return std::from_chars(text.data() + at, end, value).ptr == end && text[at] != '-';
  };
  int year = 0;
  int month = 0;
  int day = 0;
  const bool shaped = text.size() == 10 && text[4] == '-' && text[7] == '-' && number(0, 4, year) &&
                      number(5, 2, month) && number(8, 2, day);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!shaped || !date.ok()) {
    return make_error(Errc::usage, "expected a date such as 2026-01-31, found '{}'", text);
  }
  std::tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = 12;  // so that no change of the clocks moves it to another day
  parts.tm_isdst = -1;
  return std::mktime(&parts);
}

}  // namespace headrace::cli
