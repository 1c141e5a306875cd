// A model's facts as benchmarks state them.
#pragma once

#include <cstdint>
#include <string>

#include "formats/model_file.h"
#include "models/model.h"

namespace headrace::cli {

/// "llama 135M Q4_1", "gemma3 268M Q4_K - Medium": architecture, parameters, and the type that the file says
/// it has, or else that most of its bytes have.
std::string model_type_text(const ModelFile& file, const ModelInfo& info);

/// Bytes of all tensors of the file.
uint64_t tensor_bytes(const ModelFile& file);

/// Bytes of weights that computing one token reads: all but a table of embeddings that is nothing else.
uint64_t weights_per_token(const ModelFile& file, const ModelInfo& info);

}  // namespace headrace::cli
