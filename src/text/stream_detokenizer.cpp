#include "text/stream_detokenizer.h"

#include <string_view>
#include <utility>

#include "core/utf8.h"

namespace headrace {

StreamDetokenizer::StreamDetokenizer(Tokenizer tokenizer, StreamOptions options)
    : tokenizer_(std::move(tokenizer)),
      skip_special_(options.skip_special),
      drop_space_(options.at_sequence_start && tokenizer_.strips_leading_space()) {}

std::string StreamDetokenizer::push(TokenId id) {
  std::string_view piece = tokenizer_.decoded_piece(id, skip_special_);
  if (drop_space_ && !piece.empty()) {
    if (piece.front() == ' ') piece.remove_prefix(1);
    drop_space_ = false;
  }
  pending_ += piece;
  const size_t complete = complete_utf8_prefix(pending_);
  std::string text = to_valid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDetokenizer::finish() {
  drop_space_ = false;
  return to_valid_utf8(std::exchange(pending_, {}));
}

}  // namespace headrace
