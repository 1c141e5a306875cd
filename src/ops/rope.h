// Rotary position embedding: how fast each pair turns.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/rope_table.h"

namespace headrace {

struct RopeSpec {
  RopeStyle style = RopeStyle::halves;
  uint32_t d_rotary = 0;  // leading dimensions of a head that turn; even
  float base = 10000.0F;
  float linear_factor = 1.0F;  // positions are divided by it
  std::vector<float> factors;  // further divisor per frequency (Llama 3), d_rotary/2 of them or none
};

/// The d_rotary/2 angular frequencies, in float as Hugging Face computes them: 1 / base^(2i/d), divided by
/// linear_factor and factors[i].
std::vector<float> rope_frequencies(const RopeSpec& spec);

}  // namespace headrace
