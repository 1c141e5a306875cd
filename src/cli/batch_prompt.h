// From a line of a batch to what the engine is asked.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>
#include <variant>

#include "cli/batch_line.h"
#include "core/result.h"
#include "engine/engine.h"
#include "engine/text_generator.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace headrace::cli {

/// Makes engine requests of a model's batch. The same line gives the same request, whatever was asked before.
class BatchPrompts {
 public:
  /// `now` is the moment that chat templates are told.
  BatchPrompts(const Tokenizer& tokenizer, std::time_t now);

  /// Message content never becomes a special token; the text of a completion is the whole prompt, in which
  /// the spelling of a special token counts as one. Refuses what the chat template refuses.
  std::variant<Request, Refusal> make(const BatchRequest& request) const;

 private:
  std::variant<std::vector<TokenId>, Refusal> tokens_of(const BatchRequest& request) const;
  std::variant<std::vector<TokenId>, Refusal> chat_tokens(const BatchRequest& request) const;

  Tokenizer tokenizer_;
  std::time_t now_;
  Result<ChatTemplate> template_;
  EndTokens ends_;
};

/// How a line reports that the engine would not take its request.
Refusal refusal_of(const Error& error);

/// Noon, local time, of "YYYY-MM-DD".
Result<std::time_t> parse_date(std::string_view text);

}  // namespace headrace::cli
