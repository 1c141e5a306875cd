#include "engine/text_stream.h"

#include <utility>

namespace headrace {

Result<TextStream> TextStream::create(const Tokenizer& tokenizer, const std::vector<std::string>& stops) {
  HEADRACE_TRY(StopMatcher matcher, StopMatcher::create(stops));
  return TextStream(tokenizer, std::move(matcher));
}

std::string TextStream::push(TokenId token) {
  if (stopped()) return {};
  return stops_.push(detokenizer_.push(token));
}

std::string TextStream::finish() {
  if (stopped()) return {};
  // An unfinished character becomes U+FFFD, which a stop string may contain.
  std::string rest = stops_.push(detokenizer_.finish());
  if (!stopped()) rest += stops_.finish();
  return rest;
}

}  // namespace headrace
