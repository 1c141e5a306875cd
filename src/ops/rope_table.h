// Rotary position embedding as ops see it: plain data.
#pragma once

#include <cstdint>

#include "ops/mat.h"

namespace headrace {

/// halves: (x[i], x[i + d/2]) turn together (Hugging Face, Gemma). interleaved: (x[2i], x[2i + 1]) (GGUF
/// files of the Llama family, whose query and key weights are permuted for it).
enum class RopeStyle : uint8_t { halves, interleaved };

/// A table of frequencies on the device: d_rotary/2 floats.
struct RopeTable {
  RopeStyle style = RopeStyle::halves;
  ConstVec frequencies;
};

}  // namespace headrace
