// Gemma 3 (text): five layers with a sliding window to one that sees everything, each kind with its own RoPE
// base; norms before and after each block; normalised queries and keys.
#pragma once

#include "models/model.h"
#include "models/transformer.h"

namespace headrace {

struct Gemma3Config : TransformerConfig {
  RopeSpec window_rope;
  uint32_t window = 0;
  uint32_t pattern = 6;  // every pattern-th layer is global
  float attention_scale = 0;

  bool is_global(size_t layer) const { return (layer + 1) % pattern == 0; }
};

Result<Gemma3Config> read_gemma3_config(const GgufFile& file);
Result<std::unique_ptr<Model>> load_gemma3(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                           const LoadOptions& options);

}  // namespace headrace
