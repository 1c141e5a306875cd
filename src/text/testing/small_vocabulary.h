// Vocabularies of a few words, for tests.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_spec.h"

namespace headrace::testing {

struct SmallVocabulary {
  TokenizerSpec spec;

  /// All 256 bytes, as ids 0 to 255 in the order of the byte alphabet's characters.
  static SmallVocabulary byte_level() {
    SmallVocabulary small;
    small.spec.model = TokenizerModel::byte_level_bpe;
    small.spec.pre_tokenizer = "gpt-2";
    for (uint32_t code = 0; code < 0x200; ++code) {
      std::string character;
      append_utf8(character, code);
      if (bytes_of_spelling(character)) small.add(character);
    }
    return small;
  }

  /// <unk>, <s>, </s> and the 256 byte tokens.
  static SmallVocabulary sentencepiece() {
    SmallVocabulary small;
    small.spec.model = TokenizerModel::sentencepiece_bpe;
    small.spec.unk = small.add("<unk>", TokenKind::unknown);
    small.spec.bos = small.add("<s>", TokenKind::control);
    small.spec.eos = small.add("</s>", TokenKind::control);
    for (unsigned byte = 0; byte < 256; ++byte) small.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
    return small;
  }

  TokenId add(std::string spelling, TokenKind kind = TokenKind::normal) {
    const auto id = static_cast<TokenId>(spec.tokens.size());
    spec.tokens.push_back(std::move(spelling));
    spec.kinds.push_back(kind);
    // As in trained vocabularies, what comes later scores less.
    if (spec.model == TokenizerModel::sentencepiece_bpe) spec.scores.push_back(static_cast<float>(-id));
    return id;
  }

  /// Byte-level: a token and the merge that makes it.
  TokenId add_merge(const std::string& left, const std::string& right) {
    spec.merges.push_back(left + " " + right);
    return add(left + right);
  }
};

}  // namespace headrace::testing
