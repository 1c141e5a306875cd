// Byte-pair encoding over bytes: GPT-2, Llama 3, Qwen, SmolLM.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/result.h"
#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/symbol_merger.h"
#include "text/vocabulary.h"

namespace headrace {

/// Immutable, so safe to read from several threads.
class ByteLevelBpe {
 public:
  /// Fails with bad_model for a merge that is not "left right" or speaks of tokens that do not exist, with
  /// unsupported for an unknown pre-tokenizer.
  static Result<ByteLevelBpe> create(const Vocabulary& vocabulary, std::string_view pre_tokenizer,
                                     std::optional<bool> keeps_known_words,
                                     std::span<const std::string> merges);

  /// Appends the ids of `text`, which is valid UTF-8 and holds no added tokens. Some vocabularies have no
  /// token for some bytes (SmolLM2: a few control characters); like the tokenizers that they come from, this
  /// drops such bytes.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  ByteLevelBpe(PreTokenizer pre_tokenizer, MergeTable merges)
      : pre_tokenizer_(std::move(pre_tokenizer)), merges_(std::move(merges)) {}
  void encode_word(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& ids) const;

  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_ids_{};  // -1: no token
  bool keeps_known_words_ = false;
  std::unordered_map<std::string, TokenId> words_;  // only if it keeps known words
};

}  // namespace headrace
