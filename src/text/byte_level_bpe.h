// Byte-pair encoding over bytes: GPT-2, Llama 3, Qwen, SmolLM.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/result.h"
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
                                     std::span<const std::string> merges);

  /// Appends the ids of `text`, which is valid UTF-8 and holds no added tokens. Some vocabularies have no
  /// token for some bytes (SmolLM2: a few control characters); like the tokenizers that they come from, this
  /// drops such bytes.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  explicit ByteLevelBpe(PreTokenizer pre_tokenizer) : pre_tokenizer_(std::move(pre_tokenizer)) {}
  Status add_merges(const Vocabulary& vocabulary, std::span<const std::string> merges);
  void encode_word(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& ids) const;

  PreTokenizer pre_tokenizer_;
  std::array<TokenId, 256> byte_ids_{};             // -1: no token
  std::unordered_map<uint64_t, Merge> merges_;      // left << 32 | right
  std::unordered_map<std::string, TokenId> words_;  // only for pre-tokenizers that look whole words up first
};

}  // namespace headrace
