#include "cli/conversation.h"

#include <utility>

#include "cli/prompt.h"

namespace headrace::cli {

Status Conversation::set_system(const std::string& system) {
  std::string before = std::exchange(system_, system);
  const Exchange turn = std::exchange(turn_, {"?", ""});
  const Result<std::vector<int32_t>> tried = prompt(exchanges_.size());
  turn_ = turn;
  if (tried) return {};
  system_ = std::move(before);
  return tried.error();
}

void Conversation::begin(std::string message) {
  turn_ = {std::move(message), ""};
}

void Conversation::keep(std::string answer) {
  exchanges_.push_back({std::move(turn_.message), std::move(answer)});
  turn_ = {};
}

void Conversation::drop_oldest(size_t count) {
  exchanges_.erase(exchanges_.begin(), exchanges_.begin() + static_cast<ptrdiff_t>(count));
}

void Conversation::clear() {
  exchanges_.clear();
}

Result<std::vector<int32_t>> Conversation::prompt(size_t without) const {
  std::vector<ChatMessage> messages;
  if (!system_.empty()) messages.push_back({"system", system_});
  for (size_t i = without; i < exchanges_.size(); ++i) {
    messages.push_back({"user", exchanges_[i].message});
    messages.push_back({"assistant", exchanges_[i].answer});
  }
  messages.push_back({"user", turn_.message});
  ChatInput input = chat_input(tokenizer_);
  input.messages = to_json(messages);
  HEADRACE_TRY(std::vector<TextPiece> pieces, template_.render(input));
  if (!turn_.answer.empty()) pieces.push_back({turn_.answer, false});
  return tokenizer_.encode(pieces, true);
}

Result<std::optional<Conversation::Drop>> Conversation::drop_for(size_t limit) const {
  HEADRACE_TRY(const std::vector<int32_t> all, prompt());
  if (all.size() <= limit) return std::optional<Drop>({0, 0});
  // A longer conversation has more tokens, so the number can be found by halving. (Invariant: `few` do not
  // suffice, `many` do.)
  size_t few = 0;
  size_t many = exchanges_.size();
  HEADRACE_TRY(std::vector<int32_t> rest, prompt(many));
  if (rest.size() > limit) return std::optional<Drop>();
  size_t tokens = rest.size();
  while (many - few > 1) {
    const size_t middle = few + (many - few) / 2;
    HEADRACE_TRY(rest, prompt(middle));
    if (rest.size() > limit) {
      few = middle;
    } else {
      many = middle;
      tokens = rest.size();
    }
  }
  return std::optional<Drop>({many, all.size() - tokens});
}

}  // namespace headrace::cli
