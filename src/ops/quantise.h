// Activations as int8 (docs/numerics.md, "Quantised weights"): scalar definition, shared by reference and
// tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace headrace {

/// Inputs along K that share one activation scale: 32, or 256 for the K-quants.
inline size_t activation_group(DType weight) {
  return info_of(weight).block_elements;
}

/// Inputs that make one segment of the reduction over K.
inline constexpr size_t kFloatSegment = 64;
inline constexpr size_t kQuantSegment = 256;

/// A group whose largest magnitude is below this is zero: 127 / magnitude would leave the range of a float.
inline constexpr float kSmallestGroup = 0x1p-100F;

/// Writes q[i] = round(x[i] * 127 / max|x|), half to even, in [-127, 127], and returns the scale max|x| /
/// 127. A group with an infinity or a NaN returns NaN and zeros: its row's outputs become NaN on every
/// machine.
float quantise_group(const float* x, size_t n, int8_t* q);

}  // namespace headrace
