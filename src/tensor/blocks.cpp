#include "tensor/blocks.h"

#include <algorithm>
#include <cstring>

#include "core/result.h"
#include "tensor/half.h"

namespace headrace {
namespace {

// Byte offsets inside a block, as GGUF files lay them out.
// clang-format off
//   Q4_0  d:f16, quants: 16 bytes; low nibbles are elements 0..15, high nibbles 16..31
//   Q4_1  d:f16, m:f16, quants: 16 bytes as Q4_0
//   Q5_0  d:f16, high bits: u32 (bit i = element i), quants: 16 bytes as Q4_0
//   Q8_0  d:f16, quants: 32 signed bytes
//   Q4_K  d:f16, dmin:f16, scales: 12 bytes, quants: 128 bytes (64 elements per 32 bytes: low, then high nibbles)
//   Q5_K  d:f16, dmin:f16, scales: 12 bytes, high bits: 32 bytes, quants: 128 bytes
//   Q6_K  low nibbles: 128 bytes, high 2 bits: 64 bytes, scales: 16 signed bytes, d:f16
// clang-format on

uint8_t u8(const std::byte* p, size_t i) {
  return static_cast<uint8_t>(p[i]);
}

float half_at(const std::byte* p) {
  uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_f32(bits);
}

int8_t nibble(const std::byte* quants, size_t element) {
  const uint8_t byte = u8(quants, element % 16);
  return static_cast<int8_t>(element < 16 ? byte & 15 : byte >> 4);
}

void split_32(DType type, const std::byte* block, BlockParts& parts) {
  parts.elements = 32;
  parts.group = 32;
  parts.d = half_at(block);
  parts.dmin = 0;
  parts.scales[0] = 1;
  parts.minimums[0] = 0;
  if (type == DType::Q8_0) {
    std::memcpy(parts.quants, block + 2, 32);
    return;
  }
  if (type == DType::Q4_1) {
    parts.dmin = -half_at(block + 2);
    parts.minimums[0] = 1;
  }
  uint32_t high = 0;
  if (type == DType::Q5_0) std::memcpy(&high, block + 2, sizeof high);
  const std::byte* quants = block + (type == DType::Q4_0 ? 2 : type == DType::Q4_1 ? 4 : 6);
  for (size_t i = 0; i < 32; ++i) {
    const int low = nibble(quants, i);
    if (type == DType::Q4_0) parts.quants[i] = static_cast<int8_t>(low - 8);
    if (type == DType::Q4_1) parts.quants[i] = static_cast<int8_t>(low);
    if (type == DType::Q5_0)
      parts.quants[i] = static_cast<int8_t>((low | static_cast<int>(high >> i & 1) << 4) - 16);
  }
}

void split_k4_k5(DType type, const std::byte* block, BlockParts& parts) {
  parts.elements = 256;
  parts.group = 32;
  parts.d = half_at(block);
  parts.dmin = half_at(block + 2);
  uint8_t scales[8];
  uint8_t minimums[8];
  unpack_scales(block + 4, scales, minimums);
  std::copy_n(scales, 8, parts.scales);
  std::copy_n(minimums, 8, parts.minimums);
  const bool five = type == DType::Q5_K;
  const std::byte* high = block + 16;
  const std::byte* quants = block + (five ? 48 : 16);
  for (size_t i = 0; i < 256; ++i) {
    const size_t group = i / 32;
    const uint8_t byte = u8(quants, group / 2 * 32 + i % 32);
    int value = group % 2 == 0 ? byte & 15 : byte >> 4;
    if (five) value |= (u8(high, i % 32) >> group & 1) << 4;
    parts.quants[i] = static_cast<int8_t>(value);
  }
}

void split_k6(const std::byte* block, BlockParts& parts) {
  parts.elements = 256;
  parts.group = 16;
  parts.d = half_at(block + 208);
  parts.dmin = 0;
  for (size_t g = 0; g < 16; ++g) {
    parts.scales[g] = static_cast<int8_t>(block[192 + g]);
    parts.minimums[g] = 0;
  }
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;  // 128 elements: 64 low bytes and 32 high bytes
    const size_t quarter = i % 128 / 32;
    const size_t lane = i % 32;
    const uint8_t low_byte = u8(block, half * 64 + quarter % 2 * 32 + lane);
    const int low = quarter < 2 ? low_byte & 15 : low_byte >> 4;
    const int high = u8(block, 128 + half * 32 + lane) >> (2 * quarter) & 3;
    parts.quants[i] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

}  // namespace

void unpack_scales(const std::byte* bytes, uint8_t* scales, uint8_t* minimums) {
  for (size_t j = 0; j < 4; ++j) {
    scales[j] = u8(bytes, j) & 63;
    minimums[j] = u8(bytes, j + 4) & 63;
    scales[j + 4] = static_cast<uint8_t>((u8(bytes, j + 8) & 15) | (u8(bytes, j) >> 6) << 4);
    minimums[j + 4] = static_cast<uint8_t>(u8(bytes, j + 8) >> 4 | (u8(bytes, j + 4) >> 6) << 4);
  }
}

void split_block(DType type, const std::byte* block, BlockParts& parts) {
  switch (type) {
    case DType::Q8_0:
    case DType::Q4_0:
    case DType::Q4_1:
    case DType::Q5_0:
      return split_32(type, block, parts);
    case DType::Q4_K:
    case DType::Q5_K:
      return split_k4_k5(type, block, parts);
    case DType::Q6_K:
      return split_k6(block, parts);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      break;
  }
  panic("split_block of a float type", __FILE__, __LINE__);
}

void dequantise_row(DType type, const std::byte* row, size_t k, float* out) {
  const DTypeInfo& info = info_of(type);
  if (type == DType::F32) {
    std::memcpy(out, row, k * sizeof(float));
    return;
  }
  if (!info.quantised) {
    for (size_t i = 0; i < k; ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, row + 2 * i, sizeof bits);
      out[i] = type == DType::F16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    }
    return;
  }
  BlockParts parts;
  for (size_t begin = 0; begin < k; begin += info.block_elements, row += info.block_bytes) {
    split_block(type, row, parts);
    for (size_t i = 0; i < parts.elements; ++i) {
      const size_t g = i / parts.group;
      const float scaled =
          parts.d * static_cast<float>(parts.scales[g]) * static_cast<float>(parts.quants[i]);
      out[begin + i] = info.minimum ? scaled - parts.dmin * static_cast<float>(parts.minimums[g]) : scaled;
    }
  }
}

}  // namespace headrace
