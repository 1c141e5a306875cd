// What a tokenizer is made from: plain data, as a model file states it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

using TokenId = int32_t;

/// The numbers are those of the GGUF key tokenizer.ggml.token_type.
enum class TokenKind : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,       // has a meaning for the model, none as text: <|im_end|>
  user_defined = 4,  // plain text that is always one token: "\n\n", <table>
  unused = 5,
  byte = 6,  // <0x0A>
};

enum class TokenizerModel {
  byte_level_bpe,     // GGUF "gpt2": words cut by a regular expression, bytes merged by rank
  sentencepiece_bpe,  // GGUF "llama": the text as a whole, characters merged, bytes as a fallback
};

/// Where a sentencepiece tokenizer puts a space of its own.
enum class SpacePrefix {
  none,
  always,        // in front of each stretch of text between added tokens
  unless_there,  // the same, but not where the stretch begins with a space
  at_start,      // only in front of a text that begins with neither a space nor an added token
};

/// A token that is found in the text by its whole spelling, before the model sees what lies between. Control
/// and unknown tokens are found only in trusted text.
struct AddedTokenRule {
  TokenId id = 0;
  bool normalized = false;   // looked for, in normalised form, after the others and in normalised text
  bool single_word = false;  // only where no letter, digit or underscore touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and that behind it
};

struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::byte_level_bpe;
  std::string pre_tokenizer;        // byte-level only; "" means gpt-2
  std::vector<std::string> tokens;  // index = id; spelled as in the file
  std::vector<TokenKind> kinds;     // one for each token; empty means that all are normal
  std::vector<float> scores;        // sentencepiece without merges: one for each token
  std::vector<std::string> merges;  // "left right", the first has the highest priority
  /// Missing: all control, unknown and user-defined tokens, as they are spelled.
  std::optional<std::vector<AddedTokenRule>> added;
  /// Byte-level only: a word that is a token becomes that token, whatever the merges say. Missing: as the
  /// pre-tokenizer is known to do.
  std::optional<bool> keeps_known_words;
  bool nfc = false;  // the text between added tokens is brought to normalisation form C
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> eot;
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
  bool add_bos = false;
  bool add_eos = false;
  SpacePrefix space_prefix = SpacePrefix::none;  // sentencepiece only
  bool strips_leading_space = false;             // decoding removes a space at the beginning
  std::vector<TokenId> ends;                     // tokens besides eos and eot that end an answer
  std::string chat_template;                     // Jinja source; empty if the model has none
};

}  // namespace headrace
