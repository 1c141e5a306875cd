#include "text/byte_level_bpe.h"

#include <utility>

namespace headrace {

Result<ByteLevelBpe> ByteLevelBpe::create(const Vocabulary& vocabulary, std::string_view pre_tokenizer,
                                          std::optional<bool> keeps_known_words,
                                          std::span<const std::string> merges) {
  HEADRACE_TRY(PreTokenizer splitter, PreTokenizer::create(pre_tokenizer));
  HEADRACE_TRY(MergeTable table, MergeTable::create(vocabulary, merges));
  ByteLevelBpe bpe(std::move(splitter), std::move(table));
  bpe.keeps_known_words_ = keeps_known_words.value_or(bpe.pre_tokenizer_.keeps_known_words());
  bpe.byte_ids_.fill(-1);
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary.kind(id) != TokenKind::normal) continue;
    const std::string& piece = vocabulary.piece(id);
    if (piece.size() == 1) bpe.byte_ids_[static_cast<unsigned char>(piece[0])] = id;
    if (bpe.keeps_known_words_) bpe.words_.emplace(piece, id);
  }
  return bpe;
}

void ByteLevelBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  SymbolMerger merger;
  for (std::string_view word : pre_tokenizer_.split(text)) {
    for (; word.size() > SymbolMerger::kMaxTextBytes; word.remove_prefix(SymbolMerger::kMaxTextBytes)) {
      encode_word(word.substr(0, SymbolMerger::kMaxTextBytes), merger, ids);
    }
    encode_word(word, merger, ids);
  }
}

void ByteLevelBpe::encode_word(std::string_view word, SymbolMerger& merger, std::vector<TokenId>& ids) const {
  if (keeps_known_words_) {
    if (const auto known = words_.find(std::string(word)); known != words_.end()) {
      ids.push_back(known->second);
      return;
    }
  }
  merger.clear();
  for (size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(word[i])];
    if (id >= 0) merger.append(i, 1, id);
  }
  merger.run([&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
  merger.for_each([&](const Symbol& symbol) { ids.push_back(symbol.id); });
}

}  // namespace headrace
