// Cuts text into words before byte-level encoding, by the regular expressions that vocabularies were trained
// with.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace headrace {

/// Letters and digits are those of PCRE2's Unicode version (14 in Debian 12): characters that are younger may
/// be cut otherwise than by the published tokenizers, but none is lost.
///
/// Immutable and cheap to copy; safe to use from several threads.
class PreTokenizer {
 public:
  /// `name` is a value of the GGUF key tokenizer.ggml.pre; "" and "default" mean gpt-2. Fails with
  /// unsupported, naming it, if it is not known.
  static Result<PreTokenizer> create(std::string_view name);

  /// The words of `text` (valid UTF-8), in order; together they are the whole text. Lives as long as `text`.
  std::vector<std::string_view> split(std::string_view text) const;

  /// True if a word that is a token becomes that token, whatever the merges say (Llama 3).
  bool keeps_known_words() const { return keeps_known_words_; }

 private:
  class Pattern;
  PreTokenizer() = default;

  std::vector<std::shared_ptr<const Pattern>> patterns_;  // each cuts further what those before it left
  bool keeps_known_words_ = false;
};

}  // namespace headrace
