#include <algorithm>

#include "engine/choice.h"

namespace headrace {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::none:
      return "none";
    case FinishReason::end_token:
      return "end_token";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::expired:
      return "expired";
  }
  return "none";
}

FinishReason end_after_last_token(const Choice& choice, uint32_t context) {
  const Request& asked = *choice.asked;
  const int32_t token = choice.tokens.back();
  if (std::ranges::find(asked.end_tokens, token) != asked.end_tokens.end()) return FinishReason::end_token;
  if (choice.tokens.size() - asked.prompt.size() >= asked.max_new_tokens) return FinishReason::length;
  return choice.tokens.size() >= context ? FinishReason::context : FinishReason::none;
}

std::string_view name_of(DraftRule rule) {
  return rule == DraftRule::rejection ? "rejection" : "coupled";
}

}  // namespace headrace
