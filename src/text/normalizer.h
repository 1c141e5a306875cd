// What a tokenizer does to the text between its added tokens before it cuts it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_range.h"
#include "text/tokenizer_spec.h"

namespace headrace {

struct NormalizedText {
  std::string text;
  /// Ascending, apart from each other. What came of trusted and untrusted characters together is untrusted.
  std::vector<TextRange> trusted;
};

/// Immutable, so safe to use from several threads.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(const TokenizerSpec& spec);

  /// `text` is valid UTF-8; so is the result.
  NormalizedText apply(std::string_view text, std::span<const TextRange> trusted) const;

 private:
  bool nfc_ = false;
  bool marks_spaces_ = false;
  bool prepends_mark_ = false;
};

}  // namespace headrace
