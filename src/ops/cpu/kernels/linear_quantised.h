// Linear with quantised weights and int8 activations, one panel of 16 outputs at a time.
//
// Contract (docs/numerics.md, "Quantised weights"): a group's products are summed exactly in int32 and become
// float once: acc = fma(float(sum), d_w * d_a, acc), then the format's minimum likewise; 256 inputs make a
// segment, segments combine by R0's tree. An output depends on its own row and column alone.
// Layout: panel.h. Bound: one row reads each weight byte once (memory); many rows do 512 products per group
// and row in 8 VNNI instructions beside about 5 for scales (compute).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

static inline const uint8_t* bytes(const std::byte* p) {
  return reinterpret_cast<const uint8_t*>(p);
}
static inline V16 halves(const std::byte* p) {
  return load_f16(reinterpret_cast<const uint16_t*>(p));
}

// The formats with a scale per group of 32. offset: what the stored unsigned quant has too much.
struct Q4_0 {
  static constexpr int32_t offset = 8;
  static constexpr bool minimum = false;
  static constexpr size_t d_at = kNibbleBytes;
  static Quads quads(const std::byte* p) { return quads_nibbles(bytes(p)); }
  static I16 dot(const Quads& w, const int8_t* a) { return dot_unsigned(w, a); }
};
struct Q4_1 {
  static constexpr int32_t offset = 0;
  static constexpr bool minimum = true;
  static constexpr size_t d_at = kNibbleBytes;
  static Quads quads(const std::byte* p) { return quads_nibbles(bytes(p)); }
  static I16 dot(const Quads& w, const int8_t* a) { return dot_unsigned(w, a); }
};
struct Q5_0 {
  static constexpr int32_t offset = 16;
  static constexpr bool minimum = false;
  static constexpr size_t d_at = kNibbleBytes + kFifthBytes;
  static Quads quads(const std::byte* p) {
    Quads w = quads_nibbles(bytes(p));
    quads_add_fifth_bits(w, bytes(p) + kNibbleBytes);
    return w;
  }
  static I16 dot(const Quads& w, const int8_t* a) { return dot_unsigned(w, a); }
};
struct Q8_0 {
  static constexpr int32_t offset = kSignedOffset;
  static constexpr bool minimum = false;
  static constexpr size_t d_at = 2 * kNibbleBytes;
  static Quads quads(const std::byte* p) { return quads_bytes(bytes(p)); }
  static I16 dot(const Quads& w, const int8_t* a) { return dot_signed(w, a); }
};

// Pointers to R consecutive rows of activations.
template <int R>
struct QuantRows {
  const int8_t* quants;
  const float* scales;
  const int16_t* sums;
  size_t quant_stride, scale_stride, sum_stride;

  QuantRows(const LinearTask& t, size_t row)
      : quants(t.quants + row * t.quant_stride),
        scales(t.scales + row * t.scale_stride),
        sums(t.sums + row * t.sum_stride),
        quant_stride(t.quant_stride),
        scale_stride(t.scale_stride),
        sum_stride(t.sum_stride) {}
  const int8_t* group(int r, size_t g) const {
    return quants + static_cast<size_t>(r) * quant_stride + 32 * g;
  }
  float scale(int r, size_t i) const { return scales[static_cast<size_t>(r) * scale_stride + i]; }
  int32_t sum_16(int r, size_t i) const { return sums[static_cast<size_t>(r) * sum_stride + i]; }
  int32_t sum_32(int r, size_t g) const { return sum_16(r, 2 * g) + sum_16(r, 2 * g + 1); }
};

template <typename Format, int R>
static void groups_of_32(const LinearTask& t, size_t row) {
  constexpr size_t group_bytes = Format::d_at + kHalvesBytes * (Format::minimum ? 2 : 1);
  const QuantRows<R> x(t, row);
  const size_t groups = t.k / 32;
  TreeSums<R> sums((groups + 7) / 8);
  const std::byte* p = t.panel;
  for (size_t begin = 0; begin < groups; begin += 8) {
    const size_t end = begin + 8 < groups ? begin + 8 : groups;
    V16 acc[R];
    for (int r = 0; r < R; ++r) acc[r] = set1(0.0F);
    for (size_t g = begin; g < end; ++g, p += group_bytes) {
      const Quads w = Format::quads(p);
      const V16 d = halves(p + Format::d_at);
      const V16 m = Format::minimum ? halves(p + Format::d_at + kHalvesBytes) : d;
      for (int r = 0; r < R; ++r) {
        I16 products = Format::dot(w, x.group(r, g));
        if (Format::offset != 0) products = int_sub(products, int_set1(Format::offset * x.sum_32(r, g)));
        const V16 scale = set1(x.scale(r, g));
        acc[r] = fma(to_float(products), mul(d, scale), acc[r]);
        if (Format::minimum) acc[r] = fma(set1(static_cast<float>(x.sum_32(r, g))), mul(m, scale), acc[r]);
      }
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

// Q4_K and Q5_K: eight groups with 6-bit scales and minimums; the super-block's sums stay integers.
struct Q4_K {
  static constexpr size_t scales_at = kQ4KScales;
  static constexpr size_t group_bytes = kNibbleBytes;
  static Quads quads(const std::byte* p) { return Q4_1::quads(p); }
};
struct Q5_K {
  static constexpr size_t scales_at = kQ5KScales;
  static constexpr size_t group_bytes = kNibbleBytes + kFifthBytes;
  static Quads quads(const std::byte* p) { return Q5_0::quads(p); }
};

template <typename Format, int R>
static void super_blocks(const LinearTask& t, size_t row) {
  constexpr size_t block_bytes = Format::scales_at + 256 + 2 * kHalvesBytes;
  const QuantRows<R> x(t, row);
  const size_t blocks = t.k / 256;
  TreeSums<R> sums(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const std::byte* p = t.panel + b * block_bytes;
    const std::byte* scales = p + Format::scales_at;
    I16 products[R];
    I16 minimums[R];
    for (int r = 0; r < R; ++r) products[r] = minimums[r] = int_set1(0);
    for (size_t g = 0; g < 8; ++g) {
      const Quads w = Format::quads(p + g * Format::group_bytes);
      const I16 scale = load_u8(bytes(scales) + 16 * g);
      const I16 minimum = load_u8(bytes(scales) + 128 + 16 * g);
      for (int r = 0; r < R; ++r) {
        products[r] = int_add(products[r], int_mul(scale, dot_unsigned(w, x.group(r, 8 * b + g))));
        minimums[r] = int_add(minimums[r], int_mul(minimum, int_set1(x.sum_32(r, 8 * b + g))));
      }
    }
    const V16 d = halves(scales + 256);
    const V16 dmin = halves(scales + 256 + kHalvesBytes);
    V16 acc[R];
    for (int r = 0; r < R; ++r) {
      const V16 scale = set1(x.scale(r, b));
      acc[r] = fma(to_float(products[r]), mul(d, scale), set1(0.0F));
      acc[r] = fma(to_float(minimums[r]), negate(mul(dmin, scale)), acc[r]);
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

// Q6_K: sixteen groups of 16 with signed 8-bit scales.
static inline Quads q6_quads(const std::byte* p) {
  Quads w = quads_nibbles(bytes(p));
  quads_add_sixth_bits(w, bytes(p) + kNibbleBytes);
  return w;
}
template <int R>
static void super_blocks_q6(const LinearTask& t, size_t row) {
  constexpr size_t block_bytes = kQ6KScales + 256 + kHalvesBytes;
  const QuantRows<R> x(t, row);
  const size_t blocks = t.k / 256;
  TreeSums<R> sums(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const std::byte* p = t.panel + b * block_bytes;
    const std::byte* scales = p + kQ6KScales;
    I16 products[R];
    for (int r = 0; r < R; ++r) products[r] = int_set1(0);
    for (size_t g = 0; g < 8; ++g) {
      const Quads w = q6_quads(p + g * (kNibbleBytes + kSixthBytes));
      for (int half = 0; half < 2; ++half) {
        const size_t sixteen = 2 * g + static_cast<size_t>(half);
        const I16 scale = load_s8(reinterpret_cast<const int8_t*>(scales) + 16 * sixteen);
        for (int r = 0; r < R; ++r) {
          const I16 dot = dot_16(w, 4 * half, x.group(r, 8 * b + g) + 16 * half);
          const I16 centred = int_sub(dot, int_set1(32 * x.sum_16(r, 16 * b + sixteen)));
          products[r] = int_add(products[r], int_mul(scale, centred));
        }
      }
    }
    const V16 d = halves(scales + 256);
    V16 acc[R];
    for (int r = 0; r < R; ++r) acc[r] = fma(to_float(products[r]), mul(d, set1(x.scale(r, b))), set1(0.0F));
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

template <int R>
static void quantised_rows(const LinearTask& t, size_t row) {
  switch (t.type) {
    case DType::Q4_0:
      return groups_of_32<Q4_0, R>(t, row);
    case DType::Q4_1:
      return groups_of_32<Q4_1, R>(t, row);
    case DType::Q5_0:
      return groups_of_32<Q5_0, R>(t, row);
    case DType::Q8_0:
      return groups_of_32<Q8_0, R>(t, row);
    case DType::Q4_K:
      return super_blocks<Q4_K, R>(t, row);
    case DType::Q5_K:
      return super_blocks<Q5_K, R>(t, row);
    case DType::Q6_K:
      return super_blocks_q6<R>(t, row);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

static void linear_quantised(const LinearTask& t) {
  size_t row = 0;
  for (; row + kQuantRows <= t.rows; row += kQuantRows) quantised_rows<kQuantRows>(t, row);
  for (; row + 2 <= t.rows; row += 2) quantised_rows<2>(t, row);
  for (; row < t.rows; ++row) quantised_rows<1>(t, row);
}

}  // namespace headrace::cpu::HEADRACE_TIER
