// Weight panels: 16 outputs side by side, so that lanes are outputs and each output is one scalar chain,
// whatever the instruction set. A matrix [n][k] is ceil(n/16) panels, the last filled up with zeros.
//
//   floats    F32, F16: [k][16]. BF16: [k/2][16][2], the last pair filled up with a zero
//   quants    byte 64 j + 4 c + i of a group of 32 inputs is input 4 j + i of output c ("quad" j = 64 bytes).
//             Nibbles: byte 64 j + b holds byte b of quad j (low) and of quad j + 4 (high), j < 4: 256 bytes.
//   groups of 32 inputs, one after another:
//     Q4_0    nibbles 256, d f16[16]                                    288 bytes
//     Q4_1    nibbles 256, d f16[16], m f16[16]                         320
//     Q5_0    nibbles 256, fifth bits 64 (bit j of byte b: quad j), d   352
//     Q8_0    signed bytes 512, d f16[16]                               544
//   super-blocks of 256 inputs:
//     Q4_K    8 x nibbles 256, scales u8[8][16], minimums u8[8][16], d f16[16], dmin f16[16]             2368
//     Q5_K    8 x (nibbles 256, fifth bits 64), then as Q4_K                                             2880
//     Q6_K    8 x (nibbles 256, high pairs 128 (bits 2(j%4) of byte b of vector j/4: quad j)),
//             scales s8[16][16], d f16[16]                                                               3360
// So a panel takes what its rows take in the file (Q4_K: 3 % more, its scales are unpacked).
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

inline constexpr size_t kNibbleBytes = 256;
inline constexpr size_t kFifthBytes = 64;
inline constexpr size_t kSixthBytes = 128;
inline constexpr size_t kHalvesBytes = 32;  // sixteen f16
inline constexpr size_t kQ4KScales = 8 * kNibbleBytes;
inline constexpr size_t kQ5KScales = 8 * (kNibbleBytes + kFifthBytes);
inline constexpr size_t kQ6KScales = 8 * (kNibbleBytes + kSixthBytes);

constexpr size_t panel_block_bytes(DType type) {
  switch (type) {
    case DType::F32:
      return 64;
    case DType::F16:
    case DType::BF16:
      return 32;
    case DType::Q4_0:
      return kNibbleBytes + kHalvesBytes;
    case DType::Q4_1:
      return kNibbleBytes + 2 * kHalvesBytes;
    case DType::Q5_0:
      return kNibbleBytes + kFifthBytes + kHalvesBytes;
    case DType::Q8_0:
      return 2 * kNibbleBytes + kHalvesBytes;
    case DType::Q4_K:
      return kQ4KScales + 256 + 2 * kHalvesBytes;
    case DType::Q5_K:
      return kQ5KScales + 256 + 2 * kHalvesBytes;
    case DType::Q6_K:
      return kQ6KScales + 256 + kHalvesBytes;
  }
  return 0;
}

}  // namespace headrace::cpu
