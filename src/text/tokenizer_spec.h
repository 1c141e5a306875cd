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
  sentencepiece_bpe,  // GGUF "llama": the text as a whole, characters merged by score, bytes as a fallback
};

struct TokenizerSpec {
  TokenizerModel model = TokenizerModel::byte_level_bpe;
  std::string pre_tokenizer;        // byte-level only; "" means gpt-2
  std::vector<std::string> tokens;  // index = id; spelled as in the file
  std::vector<TokenKind> kinds;     // one for each token; empty means that all are normal
  std::vector<float> scores;        // sentencepiece only: one for each token
  std::vector<std::string> merges;  // byte-level only: "left right", the first has the highest priority
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> eot;
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;  // sentencepiece only
  std::string chat_template;      // Jinja source; empty if the model has none
};

}  // namespace headrace
