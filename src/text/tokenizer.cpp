#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/utf8.h"
#include "text/added_tokens.h"
#include "text/byte_level_bpe.h"
#include "text/normalizer.h"
#include "text/sentencepiece_bpe.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

// How published models spell the tokens that end an answer. They count only as control tokens: to Gemma </s>
// is HTML.
constexpr std::array<std::string_view, 18> kEndMarkers = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|EOT|>",
    "<EOT>",
    "[EOT]",
    "[EOS]",
    "<end_of_turn>",
    "<turn|>",
    "<eos>",
    "</s>",
    "<end_of_utterance>",
    "<|return|>",
    "<|call|>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};

using Model = std::variant<ByteLevelBpe, SentencePieceBpe>;

Result<Model> create_model(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  if (spec.model == TokenizerModel::byte_level_bpe) {
    HEADRACE_TRY(ByteLevelBpe bpe,
                 ByteLevelBpe::create(vocabulary, spec.pre_tokenizer, spec.keeps_known_words, spec.merges));
    return Model(std::move(bpe));
  }
  // No text may turn into a control token, not even text that nothing else stands for.
  const bool usable_unk = spec.unk && vocabulary.kind(*spec.unk) != TokenKind::control;
  HEADRACE_TRY(SentencePieceBpe bpe, SentencePieceBpe::create(vocabulary, spec.merges, spec.scores,
                                                              usable_unk ? spec.unk : std::nullopt));
  return Model(std::move(bpe));
}

std::vector<bool> find_ends(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  std::vector<bool> ends(vocabulary.size(), false);
  for (const std::optional<TokenId>& id : {spec.eos, spec.eot}) {
    if (id) ends[static_cast<size_t>(*id)] = true;
  }
  for (const TokenId id : spec.ends) ends[static_cast<size_t>(id)] = true;
  for (const std::string_view marker : kEndMarkers) {
    const std::optional<TokenId> id = vocabulary.find(marker);
    if (id && vocabulary.kind(*id) == TokenKind::control) ends[static_cast<size_t>(*id)] = true;
  }
  return ends;
}

struct AddedTokenSets {
  AddedTokens raw;
  AddedTokens normalized;  // spelled in normalised form
};

Result<AddedTokenSets> create_added(const TokenizerSpec& spec, const Vocabulary& vocabulary,
                                    const Normalizer& normalizer) {
  std::vector<AddedTokens::Pattern> raw;
  std::vector<AddedTokens::Pattern> normalized;
  const auto add = [&](const AddedTokenRule& rule) {
    const std::string& spelling = vocabulary.spelling(rule.id);
    if (spelling.empty()) return;
    if (rule.normalized) {
      normalized.push_back({rule, normalizer.apply(spelling, {}).text});
    } else {
      raw.push_back({rule, spelling});
    }
  };
  if (spec.added) {
    for (const AddedTokenRule& rule : *spec.added) {
      HEADRACE_CHECK(vocabulary.contains(rule.id));
      add(rule);
    }
  } else {
    for (TokenId id = 0; vocabulary.contains(id); ++id) {
      if (vocabulary.is_added(id)) add({.id = id});
    }
  }
  AddedTokenSets sets;
  HEADRACE_TRY(sets.raw, AddedTokens::create(vocabulary, raw));
  HEADRACE_TRY(sets.normalized, AddedTokens::create(vocabulary, normalized));
  return sets;
}

}  // namespace

struct Tokenizer::State {
  explicit State(Vocabulary vocab) : vocabulary(std::move(vocab)) {}

  std::vector<TokenId> encode(std::string_view text, std::span<const TextRange> trusted) const;
  void encode_between(std::string_view text, std::span<const TextRange> trusted, bool at_start,
                      std::vector<TokenId>& ids) const;
  void encode_plain(std::string_view text, bool at_start, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary;
  Normalizer normalizer;
  AddedTokenSets added;
  std::optional<Model> model;  // refers to vocabulary
  std::vector<bool> ends;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  bool add_bos = false;
  bool add_eos = false;
  SpacePrefix space_prefix = SpacePrefix::none;
  bool strips_leading_space = false;
  bool normalizes = false;  // before encode_plain()
  std::string chat_template;
};

std::vector<TokenId> Tokenizer::State::encode(std::string_view text,
                                              std::span<const TextRange> trusted) const {
  std::vector<TokenId> ids;
  size_t at = 0;
  const auto between = [&](size_t end) {
    encode_between(text.substr(at, end - at), clip(trusted, {at, end}), at == 0, ids);
  };
  for (const AddedTokenMatch& match : added.raw.find(text, trusted)) {
    between(match.range.begin);
    ids.push_back(match.id);
    at = match.range.end;
  }
  between(text.size());
  return ids;
}

// `text` lies between the added tokens that are found as they stand; those that are looked for in normalised
// form may still be in it.
void Tokenizer::State::encode_between(std::string_view text, std::span<const TextRange> trusted,
                                      bool at_start, std::vector<TokenId>& ids) const {
  if (!normalizes || text.empty()) return encode_plain(text, at_start, ids);
  const NormalizedText normal = normalizer.apply(text, trusted);
  const std::string_view all = normal.text;
  size_t at = 0;
  for (const AddedTokenMatch& match : added.normalized.find(all, normal.trusted)) {
    encode_plain(all.substr(at, match.range.begin - at), at_start && at == 0, ids);
    ids.push_back(match.id);
    at = match.range.end;
  }
  encode_plain(all.substr(at), at_start && at == 0, ids);
}

void Tokenizer::State::encode_plain(std::string_view text, bool at_start, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  if (const auto* bpe = std::get_if<ByteLevelBpe>(&*model)) return bpe->encode(text, ids);
  const auto& bpe = std::get<SentencePieceBpe>(*model);
  const bool spaced = text.front() == ' ' || text.starts_with(kSpaceMark);
  bool prefix = false;
  switch (space_prefix) {
    case SpacePrefix::none:
      break;
    case SpacePrefix::always:
      prefix = !normalizes;  // else the normalizer has put it there
      break;
    case SpacePrefix::unless_there:
      prefix = !spaced;
      break;
    case SpacePrefix::at_start:
      prefix = at_start && !spaced;
      break;
  }
  if (prefix) {
    bpe.encode(" " + std::string(text), ids);
  } else {
    bpe.encode(text, ids);
  }
}

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  if (spec.add_bos && !spec.bos) {
    return make_error(Errc::bad_model,
                      "tokenizer.ggml.add_bos_token is set without tokenizer.ggml.bos_token_id");
  }
  if (spec.add_eos && !spec.eos) {
    return make_error(Errc::bad_model,
                      "tokenizer.ggml.add_eos_token is set without tokenizer.ggml.eos_token_id");
  }
  HEADRACE_TRY(Vocabulary vocabulary, Vocabulary::create(spec));
  auto state = std::make_shared<State>(std::move(vocabulary));
  state->normalizer = Normalizer(spec);
  HEADRACE_TRY(state->added, create_added(spec, state->vocabulary, state->normalizer));
  HEADRACE_TRY(state->model, create_model(spec, state->vocabulary));
  state->ends = find_ends(spec, state->vocabulary);
  state->bos = spec.bos;
  state->eos = spec.eos;
  state->add_bos = spec.add_bos;
  state->add_eos = spec.add_eos;
  state->space_prefix = spec.space_prefix;
  state->strips_leading_space = spec.strips_leading_space;
  state->normalizes = spec.nfc || !state->added.normalized.empty();
  state->chat_template = std::move(spec.chat_template);
  return Tokenizer(std::move(state));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::string mended;
  if (!is_valid_utf8(text)) {
    mended = to_valid_utf8(text);
    text = mended;
  }
  std::vector<TextRange> trusted;
  if (options.special) trusted.push_back({0, text.size()});
  std::vector<TokenId> ids = state_->encode(text, trusted);
  if (options.bos && state_->add_bos) ids.insert(ids.begin(), *state_->bos);
  if (options.bos && state_->add_eos) ids.push_back(*state_->eos);
  return ids;
}

std::vector<TokenId> Tokenizer::encode(std::span<const TextPiece> pieces, bool bos) const {
  std::string text;
  std::vector<TextRange> trusted;
  for (const TextPiece& piece : pieces) {
    const size_t begin = text.size();
    text += to_valid_utf8(piece.text);
    if (!piece.trusted || text.size() == begin) continue;
    if (!trusted.empty() && trusted.back().end == begin) {
      trusted.back().end = text.size();
    } else {
      trusted.push_back({begin, text.size()});
    }
  }
  std::vector<TokenId> ids = state_->encode(text, trusted);
  const bool has_bos = !ids.empty() && state_->bos && ids.front() == *state_->bos;
  if (bos && state_->add_bos && !has_bos) ids.insert(ids.begin(), *state_->bos);
  return ids;
}

std::string_view Tokenizer::piece(TokenId id) const {
  return state_->vocabulary.contains(id) ? std::string_view(state_->vocabulary.piece(id))
                                         : std::string_view();
}

std::string_view Tokenizer::spelling(TokenId id) const {
  return state_->vocabulary.contains(id) ? std::string_view(state_->vocabulary.spelling(id))
                                         : std::string_view();
}

std::optional<TokenId> Tokenizer::find(std::string_view spelling) const {
  return state_->vocabulary.find(spelling);
}

bool Tokenizer::is_control(TokenId id) const {
  return state_->vocabulary.contains(id) && state_->vocabulary.kind(id) == TokenKind::control;
}

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return state_->vocabulary.contains(id) && state_->ends[static_cast<size_t>(id)];
}

std::string_view Tokenizer::decoded_piece(TokenId id, bool skip_special) const {
  if (!state_->vocabulary.contains(id)) return {};
  const TokenKind kind = state_->vocabulary.kind(id);
  if (skip_special && (kind == TokenKind::control || kind == TokenKind::unknown)) return {};
  return state_->vocabulary.piece(id);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += decoded_piece(id, skip_special);
  if (strips_leading_space() && bytes.starts_with(' ')) bytes.erase(0, 1);
  return to_valid_utf8(bytes);
}

bool Tokenizer::strips_leading_space() const {
  return state_->strips_leading_space;
}

size_t Tokenizer::vocab_size() const {
  return state_->vocabulary.size();
}

std::optional<TokenId> Tokenizer::bos() const {
  return state_->bos;
}

std::optional<TokenId> Tokenizer::eos() const {
  return state_->eos;
}

const std::string& Tokenizer::chat_template() const {
  return state_->chat_template;
}

}  // namespace headrace
