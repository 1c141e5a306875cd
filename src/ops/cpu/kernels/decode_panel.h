// A quantised panel as floats [k][16], for linears with float activations.
//
// Contract: the values of dequantise_row() (tensor/blocks.h), bit for bit: products that are exact in a
// float, then one rounding where the format has a minimum. Bound: compute; it runs once a panel, whatever the
// rows.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

template <typename Format, bool Signed>
static inline void put_group(const std::byte* p, int32_t offset, V16 scale, bool has_minimum, V16 minimum,
                             float* out) {
  for (int j = 0; j < 8; ++j) {
    const Quad w = Format::quad(p, j);
    for (int i = 0; i < 4; ++i) {
      const V16 quant = to_float(Signed ? signed_input_of(w, i) : int_sub(input_of(w, i), int_set1(offset)));
      const V16 scaled = mul(scale, quant);
      store(out + 16 * (4 * j + i), has_minimum ? sub(scaled, minimum) : scaled);
    }
  }
}

template <typename Format, bool Signed>
static void decode_groups_of_32(const std::byte* p, size_t k, float* out) {
  constexpr size_t group_bytes = Format::d_at + kHalvesBytes * (Format::minimum ? 2 : 1);
  for (size_t g = 0; g < k / 32; ++g, p += group_bytes) {
    const V16 m = Format::minimum ? negate(halves(p + Format::d_at + kHalvesBytes)) : set1(0.0F);
    put_group<Format, Signed>(p, Format::offset, halves(p + Format::d_at), Format::minimum, m, out + 512 * g);
  }
}

template <typename Format>
static void decode_super_blocks(const std::byte* panel, size_t k, float* out) {
  for (size_t b = 0; b < k / 256; ++b) {
    const std::byte* p = panel + b * (Format::scales_at + 256 + 2 * kHalvesBytes);
    const std::byte* scales = p + Format::scales_at;
    const V16 d = halves(scales + 256);
    const V16 dmin = halves(scales + 256 + kHalvesBytes);
    for (size_t g = 0; g < 8; ++g) {
      const V16 scale = mul(d, to_float(load_u8(bytes(scales) + 16 * g)));
      const V16 minimum = mul(dmin, to_float(load_u8(bytes(scales) + 128 + 16 * g)));
      put_group<Format, false>(p + g * Format::group_bytes, 0, scale, true, minimum,
                               out + 4096 * b + 512 * g);
    }
  }
}

static void decode_q6_blocks(const std::byte* panel, size_t k, float* out) {
  for (size_t b = 0; b < k / 256; ++b) {
    const std::byte* p = panel + b * (kQ6KScales + 256 + kHalvesBytes);
    const int8_t* scales = reinterpret_cast<const int8_t*>(p + kQ6KScales);
    const V16 d = halves(p + kQ6KScales + 256);
    for (size_t g = 0; g < 8; ++g) {
      for (int j = 0; j < 8; ++j) {
        const Quad w = Q6_K::quad(p + g * Q6_K::group_bytes, j);
        const V16 scale = mul(d, to_float(load_s8(scales + 32 * g + 16 * static_cast<size_t>(j / 4))));
        for (int i = 0; i < 4; ++i) {
          const V16 quant = to_float(int_sub(input_of(w, i), int_set1(32)));
          store(out + 4096 * b + 512 * g + 16 * static_cast<size_t>(4 * j + i), mul(scale, quant));
        }
      }
    }
  }
}

static void decode_panel(DType type, const std::byte* panel, size_t k, float* out) {
  switch (type) {
    case DType::Q4_0:
      return decode_groups_of_32<Q4_0, false>(panel, k, out);
    case DType::Q4_1:
      return decode_groups_of_32<Q4_1, false>(panel, k, out);
    case DType::Q5_0:
      return decode_groups_of_32<Q5_0, false>(panel, k, out);
    case DType::Q8_0:
      return decode_groups_of_32<Q8_0, true>(panel, k, out);
    case DType::Q4_K:
      return decode_super_blocks<Q4_K>(panel, k, out);
    case DType::Q5_K:
      return decode_super_blocks<Q5_K>(panel, k, out);
    case DType::Q6_K:
      return decode_q6_blocks(panel, k, out);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

}  // namespace headrace::cpu::HEADRACE_TIER
