// Gemma 3 (text): five layers with a sliding window to one that sees everything, each kind with its own RoPE
// base; norms before and after each block; normalised queries and keys.
#pragma once

#include "models/model.h"
#include "models/transformer.h"

namespace headrace {

struct Gemma3Config : TransformerConfig {
  RopeSpec window_rope;
  uint32_t window = 0;
  std::vector<bool> full_layers;  // for each layer: sees everything
  float score_scale = 0;          // of attention
};

Result<Gemma3Config> read_gemma3_config(const Checkpoint& checkpoint);
Result<std::unique_ptr<Model>> load_gemma3(const Checkpoint& checkpoint, Backend& backend,
                                           MemoryLedger& ledger, const LoadOptions& options);

}  // namespace headrace
