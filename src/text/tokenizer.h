// From text to token ids and back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "text/provenance.h"
#include "text/tokenizer_spec.h"

namespace headrace {

struct EncodeOptions {
  bool special = true;  // the spelling of a control (or unknown) token in the text becomes that token
  bool bos = true;      // add the tokens for beginning and end of text, if the model wants them
};

/// Gives the ids that the model's published tokenizer gives. Input that is not UTF-8 has no published answer:
/// each invalid sequence is taken as U+FFFD.
///
/// Immutable, cheap to copy, safe to use from several threads.
class Tokenizer {
 public:
  /// Fails with bad_model for a specification that contradicts itself, with unsupported for a pre-tokenizer
  /// that is not known. Messages name the key of the GGUF file.
  static Result<Tokenizer> create(TokenizerSpec spec);

  /// The ids of `text`, all of it trusted (options.special) or none of it. User-defined tokens are plain text
  /// and match in any case.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;

  /// The ids of the pieces' texts as if they were one string, except that a control token is recognised only
  /// where its whole spelling is trusted. With `bos`, a token for beginning of text comes first if the model
  /// wants one and the text does not begin with it already; none for its end.
  std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool bos) const;

  /// The bytes that `id` stands for, not necessarily whole characters; empty for an id out of range. Lives as
  /// long as a copy of the tokenizer does.
  std::string_view piece(TokenId id) const;
  /// The same, as the vocabulary spells it: "Ġthe", "<0x0A>".
  std::string_view spelling(TokenId id) const;
  /// The token of that spelling.
  std::optional<TokenId> find(std::string_view spelling) const;

  bool is_control(TokenId id) const;
  /// True for the tokens that end an answer: the model's end of text and of turn, and control tokens with the
  /// names that are customary for these.
  bool is_end_of_generation(TokenId id) const;

  /// The text of `ids`, always valid UTF-8; `skip_special` leaves control and unknown tokens out. The space
  /// that encoding puts in front of a text (see strips_leading_space) is removed.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;
  /// What decode() takes from one token.
  std::string_view decoded_piece(TokenId id, bool skip_special) const;

  /// True if encoding puts a space in front of the text, so that decoding a whole text removes it.
  bool strips_leading_space() const;

  size_t vocab_size() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  /// Jinja source; empty if the model has none.
  const std::string& chat_template() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace headrace
