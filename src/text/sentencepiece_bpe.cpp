#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/utf8.h"

namespace headrace {

namespace {

Status check_scores(const Vocabulary& vocabulary, std::span<const float> scores) {
  if (scores.size() != vocabulary.size()) {
    return make_error(Errc::bad_model,
                      "tokenizer.ggml.scores has {} entries, but tokenizer.ggml.tokens has {}", scores.size(),
                      vocabulary.size());
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]))
      return make_error(Errc::bad_model, "tokenizer.ggml.scores: entry {} is not a number", i);
  }
  return {};
}

}  // namespace

Result<SentencePieceBpe> SentencePieceBpe::create(const Vocabulary& vocabulary,
                                                  std::span<const std::string> merges,
                                                  std::span<const float> scores, std::optional<TokenId> unk) {
  SentencePieceBpe bpe(vocabulary);
  bpe.byte_ids_.fill(-1);
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (vocabulary.kind(id) == TokenKind::byte) {
      bpe.byte_ids_[static_cast<unsigned char>(vocabulary.piece(id)[0])] = id;
    }
  }
  bpe.unk_ = unk;
  if (merges.empty()) {
    HEADRACE_RETURN_IF_ERROR(check_scores(vocabulary, scores));
    bpe.rank_tokens(scores);
  } else {
    HEADRACE_TRY(bpe.merges_, MergeTable::create(vocabulary, merges));
  }
  return bpe;
}

void SentencePieceBpe::rank_tokens(std::span<const float> scores) {
  // Files carry no meaningful score for user-defined tokens; the trained tokenizers merge them before all
  // others, in the order of their ids.
  const auto is_user_defined = [&](TokenId id) { return vocabulary_->kind(id) == TokenKind::user_defined; };
  const auto score = [&](TokenId id) { return scores[static_cast<size_t>(id)]; };
  std::vector<TokenId> order;
  for (TokenId id = 0; vocabulary_->contains(id); ++id) {
    const bool merges = vocabulary_->kind(id) == TokenKind::normal || vocabulary_->is_space_run(id);
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
    // What ends in the midst of a character (an added token may be spelled with half of one) has no further
    // part.
    const std::string_view stretch =
        text.size() <= kMaxStretch ? text : text.substr(0, complete_utf8_prefix(text.substr(0, kMaxStretch)));
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

TokenId SentencePieceBpe::token_of_character(std::string_view character) const {
  if (!merges_) {
    const Merge single = merge_into(character);
    return single.rank == Merge::kNone ? -1 : single.id;
  }
  const std::optional<TokenId> id = vocabulary_->find(character);
  if (!id) return -1;
  const TokenKind kind = vocabulary_->kind(*id);
  return kind == TokenKind::normal || kind == TokenKind::user_defined ? *id : -1;
}

void SentencePieceBpe::encode_marked(std::string_view marked, std::vector<TokenId>& ids) const {
  SymbolMerger merger;
  for (size_t at = 0; at < marked.size();) {
    const size_t size = decode_utf8(marked, at).size;
    merger.append(at, size, token_of_character(marked.substr(at, size)));
    at += size;
  }
  merger.run([&](const Symbol& left, const Symbol& right) {
    if (merges_) return merges_->find(left.id, right.id);
    return merge_into(marked.substr(left.begin, size_t{left.size} + right.size));
  });
  bool unknown_before = false;  // a run of unknown characters is one token
  merger.for_each([&](const Symbol& symbol) {
    bool unknown = false;
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else if (!append_bytes(marked.substr(symbol.begin, symbol.size), ids)) {
      unknown = true;
      if (unk_ && !unknown_before) ids.push_back(*unk_);
    }
    unknown_before = unknown;
  });
}

bool SentencePieceBpe::append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
  const auto id_of = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  // Gemma has no token for the byte 9, but one for the tabulator.
  if (!std::ranges::all_of(character, [&](char c) { return id_of(c) >= 0; })) return false;
  for (const char c : character) ids.push_back(id_of(c));
  return true;
}

}  // namespace headrace
