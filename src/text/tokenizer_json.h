// The tokenizer as Hugging Face publishes it: tokenizer.json and, beside it, tokenizer_config.json.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "text/tokenizer.h"

namespace headrace {

/// What a file may hold; the largest published ones have 34 MB, 262,144 tokens and 580,604 merges.
inline constexpr size_t kMaxTokenizerJsonBytes = size_t{256} << 20;
inline constexpr size_t kMaxTokenizerJsonTokens = size_t{1} << 21;
inline constexpr size_t kMaxTokenizerJsonMerges = size_t{1} << 22;
/// Values outside model.vocab and model.merges, and how deep they may lie in each other.
inline constexpr size_t kMaxTokenizerJsonValues = size_t{1} << 20;
inline constexpr size_t kMaxTokenizerJsonDepth = 32;

/// Makes the tokenizer of `tokenizer_json`, the file's contents: byte-pair encoding as Llama, SmolLM, Qwen 2,
/// Mistral and Gemma use it. `tokenizer_config_json` may be empty; it says which tokens are beginning and end
/// of text, and whether Llama and Gemma add them. `chat_template` is what chat_template.jinja holds; if it is
/// empty, the configuration's is taken, of several the one named "default". `end_ids` are further tokens that
/// end an answer: the list under eos_token_id in generation_config.json.
///
/// Nothing of the arguments is kept. `name` begins every message; then comes the file and the place:
/// "NAME: tokenizer.json: model.merges[12]: expected ...". Fails with bad_model for what contradicts itself,
/// with unsupported for a normalizer, pre-tokenizer, decoder or post-processor that is not known (the message
/// says which are), with out_of_budget beyond the limits above.
Result<Tokenizer> load_tokenizer_json(const std::string& name, std::string_view tokenizer_json,
                                      std::string_view tokenizer_config_json, std::string_view chat_template,
                                      std::span<const TokenId> end_ids = {});

}  // namespace headrace
