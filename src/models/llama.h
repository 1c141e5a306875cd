// The Llama family: Llama 2 and 3, SmolLM2, Mistral, and Qwen2, which adds biases to queries, keys and
// values.
#pragma once

#include "models/model.h"
#include "models/transformer.h"

namespace headrace {

/// Files of Hugging Face say which linears have biases; GGUF files have them or don't.
enum class Biases { none, required, as_found };

struct LlamaConfig : TransformerConfig {
  Biases qkv_biases = Biases::as_found;
  Biases out_biases = Biases::as_found;  // of the attention's output
  Biases mlp_biases = Biases::as_found;
};

Result<LlamaConfig> read_llama_config(const Checkpoint& checkpoint);
Result<std::unique_ptr<Model>> load_llama(const Checkpoint& checkpoint, Backend& backend,
                                          MemoryLedger& ledger, const LoadOptions& options);

}  // namespace headrace
