#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/utf8.h"

namespace headrace {

Result<SentencePieceBpe> SentencePieceBpe::create(const Vocabulary& vocabulary, std::span<const float> scores,
                                                  std::optional<TokenId> unk) {
  if (scores.size() != vocabulary.size()) {
    return make_error(Errc::bad_model,
                      "tokenizer.ggml.scores has {} entries, but tokenizer.ggml.tokens has {}", scores.size(),
                      vocabulary.size());
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]))
      return make_error(Errc::bad_model, "tokenizer.ggml.scores: entry {} is not a number", i);
  }
  SentencePieceBpe bpe(vocabulary);
  bpe.byte_ids_.fill(-1);
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary.kind(id) == TokenKind::byte) {
      bpe.byte_ids_[static_cast<unsigned char>(vocabulary.piece(id)[0])] = id;
    }
  }
  bpe.has_all_bytes_ = std::ranges::find(bpe.byte_ids_, -1) == bpe.byte_ids_.end();
  bpe.unk_ = unk;
  bpe.rank_tokens(scores);
  return bpe;
}

void SentencePieceBpe::rank_tokens(std::span<const float> scores) {
  // Files carry no meaningful score for user-defined tokens; the trained tokenizers merge them before all
  // others, in the order of their ids.
  const auto is_user_defined = [&](TokenId id) { return vocabulary_->kind(id) == TokenKind::user_defined; };
  const auto score = [&](TokenId id) { return scores[static_cast<size_t>(id)]; };
  std::vector<TokenId> order;
  for (TokenId id = 0; vocabulary_->contains(id); ++id) {
    const bool merges =
        vocabulary_->kind(id) == TokenKind::normal || (is_user_defined(id) && !vocabulary_->is_added(id));
    if (!merges) continue;
    order.push_back(id);
    longest_token_ = std::max(longest_token_, vocabulary_->spelling(id).size());
  }
  std::ranges::stable_sort(order, [&](TokenId a, TokenId b) {
    if (is_user_defined(a) || is_user_defined(b)) return is_user_defined(a) && (!is_user_defined(b) || a < b);
    return score(a) > score(b);
  });
  ranks_.assign(vocabulary_->size(), Merge::kNone);
  uint32_t rank = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    // Tokens of one score share a rank: between them the leftmost pair decides.
    const bool same = i > 0 && !is_user_defined(order[i - 1]) && score(order[i - 1]) == score(order[i]);
    if (i > 0 && !same) ++rank;
    ranks_[static_cast<size_t>(order[i])] = rank;
  }
}

Merge SentencePieceBpe::merge_into(std::string_view spelling) const {
  if (spelling.size() > longest_token_) return {};
  const std::optional<TokenId> id = vocabulary_->find(spelling);
  if (!id) return {};
  return {ranks_[static_cast<size_t>(*id)], *id};
}

void SentencePieceBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  // A space becomes three bytes.
  constexpr size_t kMaxStretch = SymbolMerger::kMaxTextBytes / kSpaceMark.size();
  while (!text.empty()) {
    const std::string_view stretch = text.substr(0, complete_utf8_prefix(text.substr(0, kMaxStretch)));
    std::string marked;
    marked.reserve(stretch.size() + stretch.size() / 2);
    for (const char c : stretch) {
      if (c == ' ') {
        marked += kSpaceMark;
      } else {
        marked += c;
      }
    }
    encode_marked(marked, ids);
    text.remove_prefix(stretch.size());
  }
}

void SentencePieceBpe::encode_marked(std::string_view marked, std::vector<TokenId>& ids) const {
  SymbolMerger merger;
  for (size_t at = 0; at < marked.size();) {
    const size_t size = decode_utf8(marked, at).size;
    const Merge single = merge_into(marked.substr(at, size));
    merger.append(at, size, single.rank == Merge::kNone ? -1 : single.id);
    at += size;
  }
  merger.run([&](const Symbol& left, const Symbol& right) {
    return merge_into(marked.substr(left.begin, size_t{left.size} + right.size));
  });
  merger.for_each([&](const Symbol& symbol) {
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else {
      append_bytes(marked.substr(symbol.begin, symbol.size), ids);
    }
  });
}

void SentencePieceBpe::append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
  if (has_all_bytes_) {
    for (const char c : character) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
  } else if (unk_ && (ids.empty() || ids.back() != *unk_)) {
    ids.push_back(*unk_);  // a run of unknown characters is one token
  }
}

}  // namespace headrace
