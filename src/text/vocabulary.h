// The tokens of a model: how each is spelled, which bytes it stands for, and what kind it is.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "text/tokenizer_spec.h"

namespace headrace {

/// The character that stands for a space in sentencepiece vocabularies: U+2581.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// <|...|>, also with the wide bars that DeepSeek writes.
bool looks_like_turn_marker(std::string_view spelling);

/// Immutable, so safe to read from several threads.
class Vocabulary {
 public:
  /// Fails with bad_model, naming the key of the GGUF file: no tokens, as many kinds as not tokens, special
  /// ids out of range, two tokens of one spelling, a byte token that is not spelled <0xNN>.
  ///
  /// A user-defined token counts as control if the model names it as beginning or end of text, or if it looks
  /// like a turn marker (<|...|>): files often mislabel those, and a user who types one must not get it.
  static Result<Vocabulary> create(const TokenizerSpec& spec);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return spellings_.size(); }
  bool contains(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < size(); }

  // Of a token that it contains.
  const std::string& spelling(TokenId id) const { return spellings_[static_cast<size_t>(id)]; }
  const std::string& piece(TokenId id) const { return pieces_[static_cast<size_t>(id)]; }
  TokenKind kind(TokenId id) const { return kinds_[static_cast<size_t>(id)]; }

  std::optional<TokenId> find(std::string_view spelling) const;

  /// True for a token that, unless the specification says otherwise, is matched as a whole in the text before
  /// the model sees what lies between: control tokens, unknown ones and user-defined ones.
  bool is_added(TokenId id) const;

  /// True for a user-defined run of space marks in a sentencepiece vocabulary (Gemma). A text that is spelled
  /// with marks has it as an added token; runs of spaces become it by merging.
  bool is_space_run(TokenId id) const;

 private:
  Vocabulary() = default;
  void set_kinds(const TokenizerSpec& spec);
  Status set_pieces();
  void normalize_pieces(const TokenizerSpec& spec);
  Status index();

  TokenizerModel model_ = TokenizerModel::byte_level_bpe;
  std::vector<std::string> spellings_;
  std::vector<std::string> pieces_;
  std::vector<TokenKind> kinds_;
  std::unordered_map<std::string_view, TokenId> by_spelling_;  // views into spellings_
};

}  // namespace headrace
