// Whole models small enough for a unit test: the real layout, tokenizer included, with random weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/testing/gguf_writer.h"
#include "tensor/dtype.h"

namespace headrace::testing {

inline constexpr uint32_t kTinyGemma3Window = 8;

struct TinyModelOptions {
  DType type = DType::F32;  // of all matrices; vectors are F32. K-quants make the model 256 wide, not 64
  uint64_t seed = 1;
  uint32_t context_length = 32768;
  uint32_t width = 0;  // of the residual stream, a multiple of 16; 0: 64, or 256 for K-quants
  uint32_t window = kTinyGemma3Window;  // of Gemma's layers that have one
};

/// Two layers, four heads on two KV heads, tied output, byte-level tokenizer ("smollm") with a few merges and
/// a chat template with <|im_start|> and <|im_end|>. 264 tokens: ids 0 to 2 are <|endoftext|>, <|im_start|>
/// and
/// <|im_end|>, id 3 + b is the byte b. No BOS is added.
GgufWriter tiny_llama(const TinyModelOptions& options = {});

/// Four layers, every second of which sees everything, the others the last 8 positions (`window`); four heads
/// on one KV head; SentencePiece tokenizer with byte fallback that adds BOS (id 2); no chat template. 294
/// tokens: id 6 + b is the byte b, then come "▁", the letters and some pieces.
GgufWriter tiny_gemma3(const TinyModelOptions& options = {});

/// The character that stands for `byte` in byte-level vocabularies, as UTF-8: itself if it is printable, else
/// one from U+0100 on.
std::string byte_character(uint32_t byte);

/// A byte-level tokenizer ("smollm") with a chat template: <|endoftext|>, <|im_start|>, <|im_end|>, the 256
/// bytes, then what each merge ("t h") makes.
void add_byte_level_tokenizer(GgufWriter& file, const std::vector<std::string>& merges);
inline constexpr uint32_t kTokensBesidesMerges = 259;

inline constexpr uint32_t kTinyLlamaVocab = 264;
inline constexpr uint32_t kTinyGemma3Vocab = 294;

}  // namespace headrace::testing
