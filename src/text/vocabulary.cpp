#include "text/vocabulary.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "core/file.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"

namespace headrace {
namespace {

struct NamedId {
  std::string_view key;
  std::optional<TokenId> id;
};

Status check_id(const NamedId& named, size_t vocab_size) {
  if (!named.id || (*named.id >= 0 && static_cast<size_t>(*named.id) < vocab_size)) return {};
  return make_error(Errc::bad_model, "{} is {}, but there are {} tokens", named.key, *named.id, vocab_size);
}

bool only_spaces(std::string_view text) {
  return !text.empty() && text.find_first_not_of(' ') == std::string_view::npos;
}

std::optional<char> byte_of_spelling(std::string_view spelling) {
  if (spelling.size() != 6 || spelling.substr(0, 3) != "<0x" || spelling.back() != '>') return std::nullopt;
  unsigned char byte = 0;
  const char* end = spelling.data() + 5;
  const auto [stop, error] = std::from_chars(spelling.data() + 3, end, byte, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return static_cast<char>(byte);
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t hit = std::min(text.find(from, at), text.size());
    out += text.substr(at, hit - at);
    if (hit == text.size()) break;
    out += to;
    at = hit + from.size();
  }
  return out;
}

}  // namespace

bool looks_like_turn_marker(std::string_view spelling) {
  constexpr std::string_view kWideBar = "\xEF\xBD\x9C";  // U+FF5C, as DeepSeek writes it
  const auto framed = [&](std::string_view bar) {
    return spelling.size() >= 2 * bar.size() + 2 && spelling.front() == '<' && spelling.back() == '>' &&
           spelling.substr(1, bar.size()) == bar &&
           spelling.substr(spelling.size() - 1 - bar.size(), bar.size()) == bar;
  };
  return framed("|") || framed(kWideBar);
}

Result<Vocabulary> Vocabulary::create(const TokenizerSpec& spec) {
  const size_t n = spec.tokens.size();
  if (n == 0) return make_error(Errc::bad_model, "tokenizer.ggml.tokens is empty");
  if (n > static_cast<size_t>(std::numeric_limits<TokenId>::max())) {
    return make_error(Errc::bad_model, "tokenizer.ggml.tokens has {} entries, too many for 31-bit ids", n);
  }
  if (!spec.kinds.empty() && spec.kinds.size() != n) {
    return make_error(Errc::bad_model,
                      "tokenizer.ggml.token_type has {} entries, but tokenizer.ggml.tokens has {}",
                      spec.kinds.size(), n);
  }
  for (const NamedId& named : {NamedId{"tokenizer.ggml.bos_token_id", spec.bos},
                               {"tokenizer.ggml.eos_token_id", spec.eos},
                               {"tokenizer.ggml.eot_token_id", spec.eot},
                               {"tokenizer.ggml.unknown_token_id", spec.unk},
                               {"tokenizer.ggml.padding_token_id", spec.pad}}) {
    HEADRACE_RETURN_IF_ERROR(check_id(named, n));
  }
  for (const TokenId id : spec.ends)
    HEADRACE_RETURN_IF_ERROR(check_id({"a token that ends an answer", id}, n));
  Vocabulary vocabulary;
  vocabulary.model_ = spec.model;
  vocabulary.spellings_ = spec.tokens;
  vocabulary.set_kinds(spec);
  HEADRACE_RETURN_IF_ERROR(vocabulary.set_pieces());
  if (spec.added) vocabulary.normalize_pieces(spec);
  HEADRACE_RETURN_IF_ERROR(vocabulary.index());
  return vocabulary;
}

void Vocabulary::set_kinds(const TokenizerSpec& spec) {
  kinds_ = spec.kinds;
  kinds_.resize(size(), TokenKind::normal);
  for (const std::optional<TokenId>& id : {spec.bos, spec.eos, spec.eot}) {
    if (id) kinds_[static_cast<size_t>(*id)] = TokenKind::control;
  }
  for (size_t i = 0; i < size(); ++i) {
    if (kinds_[i] == TokenKind::user_defined && looks_like_turn_marker(spellings_[i])) {
      kinds_[i] = TokenKind::control;
    }
    // GGUF files give runs of spaces as they look, while the model meets them as marks, like any other space.
    if (!spec.added && model_ == TokenizerModel::sentencepiece_bpe && kinds_[i] == TokenKind::user_defined &&
        only_spaces(spellings_[i])) {
      spellings_[i] = replace_all(spellings_[i], " ", kSpaceMark);
    }
  }
}

Status Vocabulary::set_pieces() {
  pieces_.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    const std::string& spelling = spellings_[i];
    switch (kinds_[i]) {
      case TokenKind::byte: {
        const std::optional<char> byte = byte_of_spelling(spelling);
        if (!byte) {
          return make_error(Errc::bad_model,
                            "tokenizer.ggml.tokens: byte token {} is \"{}\", expected <0xNN>", i,
                            printable(spelling));
        }
        pieces_.emplace_back(1, *byte);
        break;
      }
      case TokenKind::normal:
      case TokenKind::unused:
        pieces_.push_back(model_ == TokenizerModel::byte_level_bpe
                              ? bytes_of_spelling(spelling).value_or(spelling)
                              : replace_all(spelling, kSpaceMark, " "));
        break;
      case TokenKind::user_defined:
        pieces_.push_back(model_ == TokenizerModel::byte_level_bpe ? spelling
                                                                   : replace_all(spelling, kSpaceMark, " "));
        break;
      case TokenKind::control:
      case TokenKind::unknown:
        pieces_.push_back(spelling);
        break;
    }
  }
  return {};
}

// A token that is looked for in normalised text stands for what it was found as.
void Vocabulary::normalize_pieces(const TokenizerSpec& spec) {
  const Normalizer normalizer(spec);
  for (const AddedTokenRule& rule : *spec.added) {
    if (!rule.normalized) continue;
    const auto at = static_cast<size_t>(rule.id);
    const std::string normal = normalizer.apply(spellings_[at], {}).text;
    pieces_[at] = model_ == TokenizerModel::byte_level_bpe ? normal : replace_all(normal, kSpaceMark, " ");
  }
}

Status Vocabulary::index() {
  by_spelling_.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    if (spellings_[i].empty()) continue;
    const auto [entry, fresh] = by_spelling_.try_emplace(spellings_[i], static_cast<TokenId>(i));
    if (!fresh) {
      return make_error(Errc::bad_model, "tokenizer.ggml.tokens: tokens {} and {} are both \"{}\"",
                        entry->second, i, printable(spellings_[i]));
    }
  }
  return {};
}

std::optional<TokenId> Vocabulary::find(std::string_view spelling) const {
  const auto entry = by_spelling_.find(spelling);
  if (entry == by_spelling_.end()) return std::nullopt;
  return entry->second;
}

bool Vocabulary::is_added(TokenId id) const {
  const TokenKind its = kind(id);
  return !spelling(id).empty() &&
         (its == TokenKind::control || its == TokenKind::unknown || its == TokenKind::user_defined);
}

bool Vocabulary::is_space_run(TokenId id) const {
  return model_ == TokenizerModel::sentencepiece_bpe && kind(id) == TokenKind::user_defined &&
         only_spaces(piece(id));
}

}  // namespace headrace
