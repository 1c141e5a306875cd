#include "cli/prompt.h"

#include "cli/output.h"

namespace headrace::cli {
namespace {

std::string spelling_of(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.spelling(*id)) : std::string();
}

Result<std::vector<TextPiece>> apply_template(const Tokenizer& tokenizer, const PromptText& prompt) {
  HEADRACE_TRY(const ChatTemplate chat, ChatTemplate::parse(tokenizer.chat_template(), "of the model"));
  std::vector<ChatMessage> messages;
  if (!prompt.system.empty()) messages.push_back({"system", prompt.system});
  messages.push_back({"user", prompt.text});
  ChatInput input = chat_input(tokenizer);
  input.messages = to_json(messages);
  return chat.render(input);
}

}  // namespace

ChatInput chat_input(const Tokenizer& tokenizer) {
  ChatInput input;
  input.bos_token = spelling_of(tokenizer, tokenizer.bos());
  input.eos_token = spelling_of(tokenizer, tokenizer.eos());
  return input;
}

Result<std::vector<int32_t>> encode_prompt(const Tokenizer& tokenizer, const PromptText& prompt) {
  if (!prompt.raw && !tokenizer.chat_template().empty()) {
    Result<std::vector<TextPiece>> pieces = apply_template(tokenizer, prompt);
    if (!pieces) {
      Error error = std::move(pieces).error();
      error.message += " (--raw passes the text as it is)";
      return error;
    }
    return tokenizer.encode(*pieces, true);
  }
  if (!prompt.system.empty()) {
    return make_error(
        Errc::usage, "--system-prompt: {}",
        prompt.raw ? "--raw has no place for it" : "this model has no chat template to put it into");
  }
  if (!prompt.raw) warn("this model has no chat template: the text is passed as it is");
  return tokenizer.encode(prompt.text, {.special = prompt.raw, .bos = true});
}

}  // namespace headrace::cli
