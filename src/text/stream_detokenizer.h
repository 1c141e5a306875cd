// Text from tokens as they are generated.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace headrace {

struct StreamOptions {
  /// The first token begins a text of its own, so the space that encoding would have put there is dropped.
  /// False for what continues a prompt.
  bool at_sequence_start = false;
  bool skip_special = true;
};

/// The texts that push() and finish() return, put together, are what decoding all tokens at once would give.
/// One object serves one sequence and one thread.
class StreamDetokenizer {
 public:
  explicit StreamDetokenizer(Tokenizer tokenizer, StreamOptions options = {});

  /// The text that has become certain with `id`: whole characters only, so often nothing. Bytes that no
  /// further token can make valid come out as U+FFFD.
  std::string push(TokenId id);

  /// What is left, U+FFFD for an unfinished character. The object is then as new, at the middle of a
  /// sequence.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  bool drop_space_;
  std::string pending_;  // bytes of a character that is not complete
};

}  // namespace headrace
