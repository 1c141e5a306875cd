#include "text/byte_level_bpe.h"

#include <optional>
#include <utility>

#include "core/file.h"

namespace headrace {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Result<ByteLevelBpe> ByteLevelBpe::create(const Vocabulary& vocabulary, std::string_view pre_tokenizer,
                                          std::span<const std::string> merges) {
  HEADRACE_TRY(PreTokenizer splitter, PreTokenizer::create(pre_tokenizer));
  ByteLevelBpe bpe(std::move(splitter));
  bpe.byte_ids_.fill(-1);
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary.kind(id) != TokenKind::normal) continue;
    const std::string& piece = vocabulary.piece(id);
    if (piece.size() == 1) bpe.byte_ids_[static_cast<unsigned char>(piece[0])] = id;
    if (bpe.pre_tokenizer_.keeps_known_words()) bpe.words_.emplace(piece, id);
  }
  HEADRACE_RETURN_IF_ERROR(bpe.add_merges(vocabulary, merges));
  return bpe;
}

Status ByteLevelBpe::add_merges(const Vocabulary& vocabulary, std::span<const std::string> merges) {
  merges_.reserve(merges.size());
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const size_t space = merge.find(' ');
    const auto wrong = [&](std::string_view why) {
      return make_error(Errc::bad_model, "tokenizer.ggml.merges: entry {}, \"{}\", {}", i, printable(merge),
                        why);
    };
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return wrong("is not two tokens and one space");
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const std::optional<TokenId> left = vocabulary.find(merge.substr(0, space));
    const std::optional<TokenId> right = vocabulary.find(merge.substr(space + 1));
    const std::optional<TokenId> result = vocabulary.find(joined);
    if (!left || !right || !result)
      return wrong("names or makes a token that is not in tokenizer.ggml.tokens");
    if (vocabulary.kind(*result) == TokenKind::control) return wrong("makes a control token");
    merges_.try_emplace(pair_key(*left, *right), Merge{static_cast<uint32_t>(i), *result});
  }
  return {};
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
  if (pre_tokenizer_.keeps_known_words()) {
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
  merger.run([&](const Symbol& left, const Symbol& right) {
    const auto found = merges_.find(pair_key(left.id, right.id));
    return found == merges_.end() ? Merge{} : found->second;
  });
  merger.for_each([&](const Symbol& symbol) { ids.push_back(symbol.id); });
}

}  // namespace headrace
