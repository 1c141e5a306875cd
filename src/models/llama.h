// The Llama family: Llama 2 and 3, SmolLM2, and what else calls its architecture "llama".
#pragma once

#include "models/model.h"
#include "models/transformer.h"

namespace headrace {

Result<TransformerConfig> read_llama_config(const GgufFile& file);
Result<std::unique_ptr<Model>> load_llama(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options);

}  // namespace headrace
