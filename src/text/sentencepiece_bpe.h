// Byte-pair encoding over characters: Llama 2, Mistral, Gemma.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/merge_table.h"
#include "text/symbol_merger.h"
#include "text/vocabulary.h"

namespace headrace {

/// Immutable, so safe to read from several threads.
class SentencePieceBpe {
 public:
  /// `vocabulary` must outlive it; `unk` stands for characters without a token where the vocabulary lacks
  /// byte tokens. Neighbours join by `merges` if there are any; otherwise whenever they make a token, best
  /// score first. Fails with bad_model as MergeTable does or, without merges, unless there is one score for
  /// each token, none of them NaN.
  static Result<SentencePieceBpe> create(const Vocabulary& vocabulary, std::span<const std::string> merges,
                                         std::span<const float> scores, std::optional<TokenId> unk);

  /// Appends the ids of `text`, which is valid UTF-8 and holds no added tokens.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  explicit SentencePieceBpe(const Vocabulary& vocabulary) : vocabulary_(&vocabulary) {}
  void rank_tokens(std::span<const float> scores);
  Merge merge_into(std::string_view spelling) const;
  TokenId token_of_character(std::string_view character) const;
  void encode_marked(std::string_view marked, std::vector<TokenId>& ids) const;
  bool append_bytes(std::string_view character, std::vector<TokenId>& ids) const;

  const Vocabulary* vocabulary_;
  std::optional<MergeTable> merges_;
  std::vector<uint32_t> ranks_;  // without merges; Merge::kNone for tokens that text never becomes by merging
  size_t longest_token_ = 0;     // in bytes
  std::array<TokenId, 256> byte_ids_{};
  std::optional<TokenId> unk_;
};

}  // namespace headrace
