// How models stretch RoPE beyond the context that they were trained on first.
#pragma once

#include "models/checkpoint.h"
#include "ops/rope.h"

namespace headrace {

/// Reads base and scaling of `checkpoint` into `rope`, whose d_rotary is set. Answers by how much queries and
/// keys are to be multiplied besides (YaRN; 1 otherwise).
///
/// linear: positions divided by a factor. llama3 (Llama 3.1): slow frequencies divided by it, those between
/// two wavelengths in part. yarn (Peng et al. 2023, section 3.2 and 3.4): frequencies divided by it where a
/// pair turns seldom within the first context, and longer queries and keys. Others are refused by name.
Result<float> read_rope_scaling(const Checkpoint& checkpoint, uint32_t context_length, RopeSpec& rope);

}  // namespace headrace
