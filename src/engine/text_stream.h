// The text of one answer, from its tokens as they are drawn.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "text/stop_strings.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"

namespace headrace {

/// The texts that push() and finish() return, put together, are the answer: whole characters, and nothing of
/// a stop string that matched or of what follows it. How tokens come in steps changes nothing. One object
/// serves one answer and one thread.
class TextStream {
 public:
  /// Fails as StopMatcher::create does.
  static Result<TextStream> create(const Tokenizer& tokenizer, const std::vector<std::string>& stops);

  /// The text that became certain with `token`, which is not the end token; empty once stopped.
  std::string push(TokenId token);

  /// The answer is over: returns what was held back. It may turn out to end with a stop string.
  std::string finish();

  /// A stop string matched: the answer is over.
  bool stopped() const { return stops_.matched().has_value(); }

 private:
  TextStream(const Tokenizer& tokenizer, StopMatcher stops)
      : detokenizer_(tokenizer), stops_(std::move(stops)) {}

  StreamDetokenizer detokenizer_;
  StopMatcher stops_;
};

}  // namespace headrace
