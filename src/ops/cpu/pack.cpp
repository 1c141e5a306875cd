#include "ops/cpu/pack.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/checked.h"
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

uint32_t word_at(const std::byte* p) {
  uint32_t word = 0;
  std::memcpy(&word, p, 4);
  return word;
}

// Files and panels both keep neighbouring inputs in neighbouring bytes, so a column moves word by word: word
// j of a group is a quad of column c, at byte 64 j + 4 c (panel.h).
class Column {
 public:
  Column(std::byte* group, size_t c) : at_(group + 4 * c) {}
  void put(size_t word, uint32_t value) { std::memcpy(at_ + 64 * word, &value, 4); }

  // `low` and `high`: sixteen inputs each, in the four bits from `shift` of each byte.
  void put_nibbles(const std::byte* low, const std::byte* high, unsigned shift) {
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t a = word_at(low + 4 * j) >> shift & 0x0F0F0F0F;
      const uint32_t b = word_at(high + 4 * j) >> shift & 0x0F0F0F0F;
      put(j, a | b << 4);
    }
  }
  void put_16_bytes(const std::byte* quants) {
    for (size_t j = 0; j < 4; ++j) put(j, word_at(quants + 4 * j));
  }
  // Bit i of `bits` is the fifth bit of input i: bit j of a byte belongs to quad j.
  void put_fifth_bits(uint32_t bits) {
    uint32_t word = 0;
    for (unsigned j = 0; j < 8; ++j) {
      const uint32_t four = bits >> (4 * j) & 15;
      word |= (four * 0x00204081 & 0x01010101) << j;  // bit n to byte n
    }
    put(4, word);
  }
  // Bit g of byte i of `high` is the fifth bit of input i.
  void put_fifth_bits(const std::byte* high, unsigned g) {
    uint32_t word = 0;
    for (unsigned j = 0; j < 8; ++j) word |= (word_at(high + 4 * j) >> g & 0x01010101) << j;
    put(4, word);
  }
  // Bits 2q and 2q + 1 of byte i of `high` are the upper bits of input i.
  void put_sixth_bits(const std::byte* high, unsigned q) {
    for (size_t v = 0; v < 2; ++v) {
      uint32_t word = 0;
      for (unsigned j = 0; j < 4; ++j) {
        word |= (word_at(high + 16 * v + 4 * j) >> (2 * q) & 0x03030303) << (2 * j);
      }
      put(4 + v, word);
    }
  }

 private:
  std::byte* at_;
};

// The quants of one block, whose bytes stand as tensor/blocks.cpp says.
void pack_quants(DType type, const std::byte* block, std::byte* panel, size_t c) {
  const size_t group_bytes = layout_of(type).group_bytes;
  Column first(panel, c);
  switch (type) {
    case DType::Q4_0:
      return first.put_16_bytes(block + 2);
    case DType::Q4_1:
      return first.put_16_bytes(block + 4);
    case DType::Q5_0:
      first.put_16_bytes(block + 6);
      return first.put_fifth_bits(word_at(block + 2));
    case DType::Q8_0:
      for (size_t j = 0; j < 8; ++j) first.put(j, word_at(block + 2 + 4 * j));
      return;
    case DType::Q4_K:
    case DType::Q5_K:
      for (unsigned g = 0; g < 8; ++g) {
        const bool five = type == DType::Q5_K;
        const std::byte* quants = block + (five ? 48 : 16) + 32 * (g / 2);
        Column column(panel + g * group_bytes, c);
        column.put_nibbles(quants, quants + 16, 4 * (g % 2));
        if (five) column.put_fifth_bits(block + 16, g);
      }
      return;
    case DType::Q6_K:
      for (unsigned g = 0; g < 8; ++g) {
        const size_t half = g / 4;  // of 128 inputs: 64 bytes of nibbles, 32 of upper bits
        const unsigned quarter = g % 4;
        const std::byte* quants = block + 64 * half + 32 * (quarter % 2);
        Column column(panel + g * group_bytes, c);
        column.put_nibbles(quants, quants + 16, 4 * (quarter / 2));
        column.put_sixth_bits(block + 128 + 32 * half, quarter);
      }
      return;
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      break;
  }
}

void copy_half(std::byte* to, size_t c, const std::byte* from) {
  std::memcpy(to + 2 * c, from, 2);
}

// The f16 scales are copied as they stand in the file's block, so that no conversion can lose a bit.
void pack_scales(DType type, const std::byte* block, std::byte* panel, size_t c) {
  const ScaleOffsets at = offsets_of(type);
  copy_half(panel + at.d, c, type == DType::Q6_K ? block + 208 : block);
  if (info_of(type).minimum) copy_half(panel + at.dmin, c, block + 2);
  if (type == DType::Q6_K) {
    for (size_t g = 0; g < 16; ++g) panel[at.scales + 16 * g + c] = block[192 + g];
  } else if (info_of(type).block_elements == 256) {
    uint8_t scales[8];
    uint8_t minimums[8];
    unpack_scales(block + 4, scales, minimums);
    for (size_t g = 0; g < 8; ++g) {
      panel[at.scales + 16 * g + c] = static_cast<std::byte>(scales[g]);
      panel[at.minimums + 16 * g + c] = static_cast<std::byte>(minimums[g]);
    }
  }
}

// A block of zeros that stay +0 when multiplied: the quants hold the format's offset.
void make_zero_block(DType type, std::byte* block) {
  std::memset(block, 0, info_of(type).block_bytes);
  if (type == DType::Q4_0) std::memset(block + 2, 0x88, 16);
  if (type == DType::Q5_0) std::memset(block + 2, 0xFF, 4);
  if (type == DType::Q6_K) std::memset(block + 128, 0xAA, 64);
}

void pack_quantised(DType type, size_t k, size_t n, const std::byte* rows, std::byte* panel) {
  const DTypeInfo& info = info_of(type);
  const size_t block_bytes = panel_block_bytes(type);
  const size_t blocks = k / info.block_elements;
  std::byte zero[256];
  make_zero_block(type, zero);
  for (size_t b = 0; b < blocks; ++b) {
    std::byte* out = panel + b * block_bytes;
    for (size_t c = 0; c < kPanelWidth; ++c) {
      const std::byte* block = c < n ? rows + (c * blocks + b) * info.block_bytes : zero;
      pack_quants(type, block, out, c);
      pack_scales(type, block, out, c);
    }
  }
}

// Eight rows of eight 16-bit numbers, turned: out[i] holds number i of each row. SSE2, which every x86-64
// has.
void turn_8x8(const uint16_t* rows, size_t stride, __m128i (&out)[8]) {
  __m128i a[8];
  __m128i b[8];
  for (size_t r = 0; r < 8; ++r) a[r] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + r * stride));
  for (size_t r = 0; r < 4; ++r) {
    b[2 * r] = _mm_unpacklo_epi16(a[2 * r], a[2 * r + 1]);
    b[2 * r + 1] = _mm_unpackhi_epi16(a[2 * r], a[2 * r + 1]);
  }
  for (size_t h = 0; h < 2; ++h) {
    for (size_t r = 0; r < 2; ++r) {
      a[4 * h + 2 * r] = _mm_unpacklo_epi32(b[4 * h + r], b[4 * h + r + 2]);
      a[4 * h + 2 * r + 1] = _mm_unpackhi_epi32(b[4 * h + r], b[4 * h + r + 2]);
    }
  }
  for (size_t r = 0; r < 4; ++r) {
    out[2 * r] = _mm_unpacklo_epi64(a[r], a[4 + r]);
    out[2 * r + 1] = _mm_unpackhi_epi64(a[r], a[4 + r]);
  }
}

constexpr size_t kFloatPackTile = 64;

void put_tile(const uint16_t (&tile)[kPanelWidth][kFloatPackTile], size_t count, std::byte* panel) {
  uint16_t* out = reinterpret_cast<uint16_t*>(panel);
  for (size_t i = 0; i < count; i += 8) {
    for (size_t half = 0; half < 2; ++half) {
      __m128i columns[8];
      turn_8x8(&tile[8 * half][i], kFloatPackTile, columns);
      for (size_t j = 0; j < std::min<size_t>(8, count - i); ++j) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (i + j) * kPanelWidth + 8 * half), columns[j]);
      }
    }
  }
}

// Four rows of four words, turned.
void put_tile(const uint32_t (&tile)[kPanelWidth][kFloatPackTile], size_t count, std::byte* panel) {
  __m128i* out = reinterpret_cast<__m128i*>(panel);
  for (size_t i = 0; i < count; i += 4) {
    for (size_t c = 0; c < kPanelWidth; c += 4) {
      __m128 rows[4];
      for (size_t r = 0; r < 4; ++r) {
        rows[r] = _mm_castsi128_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&tile[c + r][i])));
      }
      _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
      for (size_t r = 0; r < std::min<size_t>(4, count - i); ++r) {
        _mm_storeu_si128(out + (4 * (i + r) + c / 4), _mm_castps_si128(rows[r]));
      }
    }
  }
}

// Units are inputs of F32 and F16, pairs of inputs of BF16. Through a tile that stays in the first-level
// cache: rows may lie a multiple of 4096 bytes apart, and then sixteen of their lines would push each other
// out.
template <typename Unit>
void pack_floats(size_t row_bytes, size_t n, const std::byte* rows, std::byte* panel) {
  Unit tile[kPanelWidth][kFloatPackTile] = {};
  const size_t units = ceil_div(row_bytes, sizeof(Unit));
  for (size_t begin = 0; begin < units; begin += kFloatPackTile) {
    const size_t count = std::min(kFloatPackTile, units - begin);
    const size_t bytes = std::min(count * sizeof(Unit), row_bytes - begin * sizeof(Unit));
    for (size_t c = 0; c < n; ++c) {
      tile[c][count - 1] = 0;  // a pair may be half there
      std::memcpy(tile[c], rows + c * row_bytes + begin * sizeof(Unit), bytes);
    }
    put_tile(tile, count, panel + begin * kPanelWidth * sizeof(Unit));
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
  if (type == DType::BF16) k = (k + 1) / 2 * 2;
  return k / info_of(type).block_elements * panel_block_bytes(type);
}

void pack_panel(DType type, size_t k, size_t n, const std::byte* rows, std::byte* panel) {
  if (info_of(type).quantised)
    pack_quantised(type, k, n, rows, panel);
  else if (type == DType::F16)
    pack_floats<uint16_t>(2 * k, n, rows, panel);
  else
    pack_floats<uint32_t>(type == DType::F32 ? 4 * k : 2 * k, n, rows, panel);
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
      const size_t at = type == DType::BF16 ? i / 2 * 2 * kPanelWidth + 2 * c + i % 2 : i * kPanelWidth + c;
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
