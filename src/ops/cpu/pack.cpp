#include "ops/cpu/pack.h"

#include <cstdint>
#include <cstring>

#include "core/result.h"
#include "ops/cpu/panel.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace headrace::cpu {
namespace {

// Where input i (of 32) of output c stands in the quads of its group.
size_t quad_byte(size_t i, size_t c) {
  return 64 * (i / 4) + 4 * c + i % 4;
}

struct Layout {
  size_t group_bytes;  // quants of 32 inputs
  size_t bits;         // 4, 5, 6 or 8
  int offset;          // added to a signed quant to store it unsigned
};

Layout layout_of(DType type) {
  switch (type) {
    case DType::Q4_0:
      return {kNibbleBytes, 4, 8};
    case DType::Q4_1:
    case DType::Q4_K:
      return {kNibbleBytes, 4, 0};
    case DType::Q5_0:
      return {kNibbleBytes + kFifthBytes, 5, 16};
    case DType::Q5_K:
      return {kNibbleBytes + kFifthBytes, 5, 0};
    case DType::Q6_K:
      return {kNibbleBytes + kSixthBytes, 6, 32};
    case DType::Q8_0:
      return {2 * kNibbleBytes, 8, 0};
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      break;
  }
  panic("layout_of a float type", __FILE__, __LINE__);
}

void put_quant(const Layout& layout, std::byte* group, size_t i, size_t c, int quant) {
  auto* out = reinterpret_cast<uint8_t*>(group);
  const size_t at = quad_byte(i, c);
  const auto value = static_cast<unsigned>(quant + layout.offset);
  if (layout.bits == 8) {
    out[at] = static_cast<uint8_t>(value);
    return;
  }
  out[at % 256] |= static_cast<uint8_t>((value & 15) << (at < 256 ? 0 : 4));
  const size_t quad = at / 64;
  const size_t b = at % 64;
  if (layout.bits == 5) out[kNibbleBytes + b] |= static_cast<uint8_t>((value >> 4) << quad);
  if (layout.bits == 6)
    out[kNibbleBytes + 64 * (quad / 4) + b] |= static_cast<uint8_t>((value >> 4) << (2 * (quad % 4)));
}

int get_quant(const Layout& layout, const std::byte* group, size_t i, size_t c) {
  const auto* in = reinterpret_cast<const uint8_t*>(group);
  const size_t at = quad_byte(i, c);
  if (layout.bits == 8) return static_cast<int8_t>(in[at]);
  unsigned value = in[at % 256] >> (at < 256 ? 0 : 4) & 15;
  const size_t quad = at / 64;
  const size_t b = at % 64;
  if (layout.bits == 5) value |= static_cast<unsigned>(in[kNibbleBytes + b] >> quad & 1) << 4;
  if (layout.bits == 6)
    value |= static_cast<unsigned>(in[kNibbleBytes + 64 * (quad / 4) + b] >> (2 * (quad % 4)) & 3) << 4;
  return static_cast<int>(value) - layout.offset;
}

// Byte offsets of the scales inside a panel block.
struct ScaleOffsets {
  size_t scales;    // 8-bit scales [groups][16], K-quants only
  size_t minimums;  // 8-bit minimums [8][16]
  size_t d;         // f16 [16]
  size_t dmin;      // f16 [16]: dmin of K-quants, m of Q4_1
};

ScaleOffsets offsets_of(DType type) {
  const size_t quants = layout_of(type).group_bytes;
  switch (type) {
    case DType::Q4_K:
      return {kQ4KScales, kQ4KScales + 128, kQ4KScales + 256, kQ4KScales + 256 + kHalvesBytes};
    case DType::Q5_K:
      return {kQ5KScales, kQ5KScales + 128, kQ5KScales + 256, kQ5KScales + 256 + kHalvesBytes};
    case DType::Q6_K:
      return {kQ6KScales, 0, kQ6KScales + 256, 0};
    default:
      return {0, 0, quants, quants + kHalvesBytes};
  }
}

void copy_half(std::byte* to, size_t c, const std::byte* from) {
  std::memcpy(to + 2 * c, from, 2);
}

// The f16 scales are copied as they stand in the file's block (blocks.cpp has the offsets), so that no
// conversion can lose a bit.
void pack_scales(DType type, const std::byte* block, const BlockParts& parts, size_t c, std::byte* panel) {
  const ScaleOffsets at = offsets_of(type);
  copy_half(panel + at.d, c, type == DType::Q6_K ? block + 208 : block);
  if (info_of(type).minimum) copy_half(panel + at.dmin, c, block + 2);
  if (parts.elements == 32) return;
  for (size_t g = 0; g < 256 / parts.group; ++g) {
    panel[at.scales + 16 * g + c] = static_cast<std::byte>(parts.scales[g]);
    if (info_of(type).minimum) panel[at.minimums + 16 * g + c] = static_cast<std::byte>(parts.minimums[g]);
  }
}

void pack_quantised(DType type, size_t k, size_t n, const std::byte* rows, std::byte* panel) {
  const DTypeInfo& info = info_of(type);
  const Layout layout = layout_of(type);
  const size_t block_bytes = panel_block_bytes(type);
  const size_t row_bytes = k / info.block_elements * info.block_bytes;
  std::memset(panel, 0, panel_bytes(type, k));
  BlockParts parts;
  for (size_t c = 0; c < kPanelWidth; ++c) {
    for (size_t b = 0; b < k / info.block_elements; ++b) {
      std::byte* out = panel + b * block_bytes;
      if (c < n) {
        const std::byte* block = rows + c * row_bytes + b * info.block_bytes;
        split_block(type, block, parts);
        pack_scales(type, block, parts, c, out);
      } else {
        std::memset(parts.quants, 0, sizeof parts.quants);
      }
      for (size_t i = 0; i < info.block_elements; ++i) {
        put_quant(layout, out + i / 32 * layout.group_bytes, i % 32, c, parts.quants[i]);
      }
    }
  }
}

template <typename T>
void pack_floats(size_t k, size_t n, const std::byte* rows, std::byte* panel) {
  std::memset(panel, 0, k * kPanelWidth * sizeof(T));
  for (size_t c = 0; c < n; ++c) {
    for (size_t i = 0; i < k; ++i) {
      std::memcpy(panel + (i * kPanelWidth + c) * sizeof(T), rows + (c * k + i) * sizeof(T), sizeof(T));
    }
  }
}

float half_at(const std::byte* p, size_t c) {
  uint16_t bits = 0;
  std::memcpy(&bits, p + 2 * c, 2);
  return f16_to_f32(bits);
}

// As dequantise_row: one product that is exact, then at most one rounding.
void decode_quantised(DType type, const std::byte* panel, size_t k, size_t c, float* out, size_t step) {
  const DTypeInfo& info = info_of(type);
  const Layout layout = layout_of(type);
  const ScaleOffsets at = offsets_of(type);
  const size_t scale_group = type == DType::Q6_K ? 16 : 32;
  for (size_t b = 0; b < k / info.block_elements; ++b) {
    const std::byte* block = panel + b * panel_block_bytes(type);
    const float d = half_at(block + at.d, c);
    const float stored_minimum = info_of(type).minimum ? half_at(block + at.dmin, c) : 0.0F;
    const float dmin = type == DType::Q4_1 ? -stored_minimum : stored_minimum;
    for (size_t i = 0; i < info.block_elements; ++i) {
      float scale = 1;
      float minimum = 1;
      if (info.block_elements == 256) {
        const std::byte raw = block[at.scales + 16 * (i / scale_group) + c];
        scale = type == DType::Q6_K ? static_cast<float>(static_cast<int8_t>(raw)) : static_cast<float>(raw);
        minimum = type == DType::Q6_K ? 0.0F : static_cast<float>(block[at.minimums + 16 * (i / 32) + c]);
      }
      const int quant = get_quant(layout, block + i / 32 * layout.group_bytes, i % 32, c);
      const float scaled = d * scale * static_cast<float>(quant);
      out[(b * info.block_elements + i) * step] = info.minimum ? scaled - dmin * minimum : scaled;
    }
  }
}

}  // namespace

size_t panel_bytes(DType type, size_t k) {
  return k / info_of(type).block_elements * panel_block_bytes(type);
}

void pack_panel(DType type, size_t k, size_t n, const std::byte* rows, std::byte* panel) {
  if (info_of(type).quantised)
    pack_quantised(type, k, n, rows, panel);
  else if (type == DType::F32)
    pack_floats<float>(k, n, rows, panel);
  else
    pack_floats<uint16_t>(k, n, rows, panel);
}

void decode_panel(DType type, const std::byte* panel, size_t k, size_t first, size_t n, float* out,
                  size_t column_step, size_t input_step) {
  for (size_t c = first; c < first + n; ++c) {
    float* column = out + (c - first) * column_step;
    if (info_of(type).quantised) {
      decode_quantised(type, panel, k, c, column, input_step);
      continue;
    }
    for (size_t i = 0; i < k; ++i) {
      const size_t at = i * kPanelWidth + c;
      if (type == DType::F32) {
        std::memcpy(column + i * input_step, panel + 4 * at, 4);
      } else {
        uint16_t bits = 0;
        std::memcpy(&bits, panel + 2 * at, 2);
        column[i * input_step] = type == DType::F16 ? f16_to_f32(bits) : bf16_to_f32(bits);
      }
    }
  }
}

}  // namespace headrace::cpu
