// The quantised block formats, read one weight row at a time. This is the definition of what a stored weight
// means: every kernel's decoding is compared with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace headrace {

/// Writes the `k` float values of one row stored as `type` at `row`. `k` is a multiple of the type's block.
/// Each value is d*q (exact in float) plus at most one rounding, where the format has a minimum.
void dequantise_row(DType type, const std::byte* row, size_t k, float* out);

/// The integers behind those values, one block at a time (quantised types only; tests and packing use it).
/// A weight is scale[g] * quant + minimum[g], with g = i / group, for i in the block.
struct BlockParts {
  uint32_t elements;     // 32 or 256
  uint32_t group;        // elements that share one integer scale: 16 or 32
  int8_t quants[256];    // signed, offset already removed: Q4_0 in [-8, 7], Q4_1 in [0, 15]
  float d;               // block scale
  float dmin;            // block scale of minimums, 0 where the format has none; a weight subtracts it
  int16_t scales[16];    // integer scale of each group; 1 where the format has none
  int16_t minimums[16];  // integer minimum of each group
};
// value[i] = (d * scales[g]) * quants[i] - (dmin * minimums[g]).
// Q4_1 stores an added minimum m: here dmin = -m and minimums[g] = 1.
void split_block(DType type, const std::byte* block, BlockParts& parts);

/// The eight 6-bit scales and minimums in the 12 bytes that Q4_K and Q5_K keep them in.
void unpack_scales(const std::byte* bytes, uint8_t* scales, uint8_t* minimums);

}  // namespace headrace
