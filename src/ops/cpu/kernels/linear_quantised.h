// Linear with quantised weights and int8 activations, one panel of 16 outputs at a time.
//
// Contract (docs/numerics.md, "Quantised weights"): a group's products are summed exactly in int32 and become
// float once: acc = fma(float(sum), d_w * d_a, acc), then the format's minimum; 256 inputs make a
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

// The formats with a scale per group of 32. offset: what the stored unsigned quant has too much; largest:
// the most that a stored quant can be, by magnitude.
struct Q4_0 {
  static constexpr int32_t largest = 15;
  static constexpr int32_t offset = 8;
  static constexpr bool minimum = false;
  static constexpr size_t d_at = kNibbleBytes;
  static Quad quad(const std::byte* p, int j) { return quad_of_nibbles(bytes(p), j); }
  static DotSum add(DotSum sum, const Quad& w, const int8_t* a) { return dot(sum, w, a); }
};
struct Q4_1 : Q4_0 {
  static constexpr int32_t offset = 0;
  static constexpr bool minimum = true;
};
struct Q5_0 : Q4_0 {
  static constexpr int32_t largest = 31;
  static constexpr int32_t offset = 16;
  static constexpr size_t d_at = kNibbleBytes + kFifthBytes;
  static Quad quad(const std::byte* p, int j) {
    return with_fifth_bits(quad_of_nibbles(bytes(p), j), bytes(p) + kNibbleBytes, j);
  }
};
struct Q8_0 {
  static constexpr int32_t largest = 128;
  static constexpr int32_t offset = kSignedOffset;
  static constexpr bool minimum = false;
  static constexpr size_t d_at = 2 * kNibbleBytes;
  static Quad quad(const std::byte* p, int j) { return quad_of_bytes(bytes(p), j); }
  static DotSum add(DotSum sum, const Quad& w, const int8_t* a) { return dot_signed(sum, w, a); }
};
// The super-blocks: eight groups with scales and minimums (Q4_K, Q5_K), or twice as many scales (Q6_K).
struct Q4_K : Q4_0 {
  static constexpr size_t scales_at = kQ4KScales;
  static constexpr size_t group_bytes = kNibbleBytes;
};
struct Q5_K : Q5_0 {
  static constexpr size_t scales_at = kQ5KScales;
  static constexpr size_t group_bytes = kNibbleBytes + kFifthBytes;
};
struct Q6_K : Q4_0 {
  static constexpr int32_t largest = 63;
  static constexpr size_t scales_at = kQ6KScales;
  static constexpr size_t group_bytes = kNibbleBytes + kSixthBytes;
  static Quad quad(const std::byte* p, int j) {
    return with_sixth_bits(quad_of_nibbles(bytes(p), j), bytes(p) + kNibbleBytes, j);
  }
};

// R rows of one tile of activations, from row `row` of the task on.
template <int R>
struct QuantRows {
  const int8_t* quants;
  const float* scales;
  const int16_t* sums_16;
  const int16_t* sums_32;
  const float* float_sums_32;
  size_t width;

  QuantRows(const LinearTask& t, size_t row) {
    const size_t first = row / kTileRows * kTileRows;
    const size_t in = row - first;
    const QuantisedTiles tile = tiles_from(t.x_tiles, first, t.k, t.group);
    width = t.rows - first < kTileRows ? t.rows - first : kTileRows;
    quants = tile.quants + 64 * in;
    scales = tile.scales + in;
    sums_16 = tile.sums_16 + 2 * in;
    sums_32 = tile.sums_32 + 2 * in;
    float_sums_32 = tile.float_sums_32 + in;
  }
  // Row r's quants of a group are 64 r bytes further.
  const int8_t* group(size_t g) const { return quants + g / 2 * width * 64 + g % 2 * 32; }
  float scale(int r, size_t i) const { return scales[i * width + static_cast<size_t>(r)]; }
  float sum_32(int r, size_t g) const { return float_sums_32[g * width + static_cast<size_t>(r)]; }
  // Of the two halves of a group, and of groups 2 g and 2 g + 1.
  const int16_t* two_sums_16(int r, size_t g) const {
    return sums_16 + 2 * (g * width + static_cast<size_t>(r));
  }
  const int16_t* two_sums_32(int r, size_t g) const {
    return sums_32 + 2 * (g * width + static_cast<size_t>(r));
  }
};

// A panel comes from memory while its first rows are multiplied, and the hardware's prefetchers alone reach
// two thirds of what a core can read: lines this far ahead are asked for, across the end of the panel into
// the next. For later rows it is in the cache (First says which rows these are). On processors with tiles the
// first-level cache has places for fewer lines on their way than hide the memory's latency (an Intel Xeon,
// family 6 model 167, reads a third more in this way): there they come to the second level first.
constexpr size_t kAheadBytes = 4096;
constexpr size_t kNearBytes = 1536;
static inline void ask_ahead(const std::byte* p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
#if defined(HEADRACE_TILES)
    __builtin_prefetch(p + kAheadBytes + i, 0, 2);
    __builtin_prefetch(p + kNearBytes + i);
#else
    __builtin_prefetch(p + kAheadBytes + i);
#endif
  }
}

// sums[r] = the products of quads [first, first + count) of a group with row r's activations, from `a` on.
// Rows are the inner loop, so that neighbouring instructions do not wait for each other; one or two rows take
// two chains.
template <typename Format, int R>
static inline void dot_quads(const std::byte* p, const int8_t* a, int first, int count, DotSum (&sums)[R]) {
  DotSum odd[R];
  for (int r = 0; r < R; ++r) sums[r] = odd[r] = dot_sum_zero();
#pragma GCC unroll 8  // g++ would keep the loop and copy every sum twice a turn
  for (int j = first; j < first + count; ++j) {
    const Quad w = Format::quad(p, j);
    for (int r = 0; r < R; ++r) {
      DotSum& sum = R <= 2 && (j - first) % 2 == 1 ? odd[r] : sums[r];
      sum = Format::add(sum, w, a + 64 * r + 4 * j);
    }
  }
  for (int r = 0; R <= 2 && count > 1 && r < R; ++r) sums[r] = dot_sum_add(sums[r], odd[r]);
}

// products[r] += scale * (the products of quads [first, first + count) with row r's activations).
template <typename Format, int R>
static inline void add_scaled_quads(const std::byte* p, const int8_t* a, int first, int count, I16 scale,
                                    I16 (&products)[R]) {
  constexpr int step = quads_of_sum(Format::largest);
  const DotScale factor = dot_scale(scale);
#pragma GCC unroll 8
  for (int j = first; j < first + count; j += step) {
    DotSum sums[R];
    dot_quads<Format, R>(p, a, j, step < count ? step : count, sums);
    for (int r = 0; r < R; ++r) products[r] = int_add(products[r], scaled(sums[r], factor));
  }
}

// dots[r] = the products of a group.
template <typename Format, int R>
static inline void dot_group(const std::byte* p, const int8_t* a, I16 (&dots)[R]) {
  constexpr int step = quads_of_sum(Format::largest);
#pragma GCC unroll 8
  for (int j = 0; j < 8; j += step) {
    DotSum sums[R];
    dot_quads<Format, R>(p, a, j, step, sums);
    for (int r = 0; r < R; ++r) dots[r] = j == 0 ? whole(sums[r]) : int_add(dots[r], whole(sums[r]));
  }
}

template <typename Format, int R, bool First>
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
      if (First) ask_ahead(p, group_bytes);
      I16 dots[R];
      dot_group<Format, R>(p, x.group(g), dots);
      const V16 d = halves(p + Format::d_at);
      const V16 m = Format::minimum ? halves(p + Format::d_at + kHalvesBytes) : d;
      for (int r = 0; r < R; ++r) {
        // Integers below 2^24: exact in floats, too.
        V16 products = to_float(dots[r]);
        if (Format::offset != 0)
          products = fma(set1(x.sum_32(r, g)), set1(static_cast<float>(-Format::offset)), products);
        const V16 scale = set1(x.scale(r, g));
        acc[r] = fma(products, mul(d, scale), acc[r]);
        if (Format::minimum) acc[r] = fma(set1(x.sum_32(r, g) * x.scale(r, g)), m, acc[r]);
      }
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

// The super-block's sums stay integers. A minimum belongs to 32 inputs.
template <typename Format, int R, bool First>
static void super_blocks(const LinearTask& t, size_t row) {
  constexpr size_t block_bytes = Format::scales_at + 256 + 2 * kHalvesBytes;
  const QuantRows<R> x(t, row);
  const size_t blocks = t.k / 256;
  TreeSums<R> sums(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const std::byte* p = t.panel + b * block_bytes;
    const uint8_t* scales = bytes(p + Format::scales_at);
    I16 products[R];
    for (int r = 0; r < R; ++r) products[r] = int_set1(0);
    for (size_t g = 0; g < 8; ++g) {
      if (First) ask_ahead(p + g * (block_bytes / 8), block_bytes / 8);
      add_scaled_quads<Format, R>(p + g * Format::group_bytes, x.group(8 * b + g), 0, 8,
                                  load_u8(scales + 16 * g), products);
    }
    I16 minimums[R];
    for (int r = 0; r < R; ++r) minimums[r] = int_set1(0);
    for (size_t g = 0; g < 4; ++g) {
      const uint8_t* two = scales + 128 + 32 * g;
      const I16 both = pair_16(load_u8(two), load_u8(two + 16));
      for (int r = 0; r < R; ++r) minimums[r] = dot_pair(minimums[r], both, x.two_sums_32(r, 4 * b + g));
    }
    const V16 d = halves(p + Format::scales_at + 256);
    const V16 dmin = negate(halves(p + Format::scales_at + 256 + kHalvesBytes));
    V16 acc[R];
    for (int r = 0; r < R; ++r) {
      const V16 scale = set1(x.scale(r, b));
      acc[r] = fma(to_float(products[r]), mul(d, scale), set1(0.0F));
      acc[r] = fma(mul(to_float(minimums[r]), scale), dmin, acc[r]);
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

// Sixteen groups of 16 with signed scales; quants are stored with 32 added, which is taken off at the end.
template <int R, bool First>
static void super_blocks_q6(const LinearTask& t, size_t row) {
  constexpr size_t block_bytes = kQ6KScales + 256 + kHalvesBytes;
  const QuantRows<R> x(t, row);
  const size_t blocks = t.k / 256;
  TreeSums<R> sums(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const std::byte* p = t.panel + b * block_bytes;
    const int8_t* scales = reinterpret_cast<const int8_t*>(p + kQ6KScales);
    I16 products[R];
    I16 offsets[R];
    for (int r = 0; r < R; ++r) products[r] = offsets[r] = int_set1(0);
    for (size_t g = 0; g < 8; ++g) {
      const I16 low = load_s8(scales + 32 * g);
      const I16 high = load_s8(scales + 32 * g + 16);
      if (First) ask_ahead(p + g * (block_bytes / 8), block_bytes / 8);
      const std::byte* group = p + g * Q6_K::group_bytes;
      add_scaled_quads<Q6_K, R>(group, x.group(8 * b + g), 0, 4, low, products);
      add_scaled_quads<Q6_K, R>(group, x.group(8 * b + g), 4, 4, high, products);
    }
    for (size_t g = 0; g < 8; ++g) {
      const I16 both = pair_16(load_s8(scales + 32 * g), load_s8(scales + 32 * g + 16));
      for (int r = 0; r < R; ++r) offsets[r] = dot_pair(offsets[r], both, x.two_sums_16(r, 8 * b + g));
    }
    const V16 d = halves(p + kQ6KScales + 256);
    V16 acc[R];
    for (int r = 0; r < R; ++r) {
      const V16 centred = to_float(int_sub(products[r], shift_left(offsets[r], 5)));
      acc[r] = fma(centred, mul(d, set1(x.scale(r, b))), set1(0.0F));
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

template <int R, bool First>
static void rows_of_type(const LinearTask& t, size_t row) {
  switch (t.type) {
    case DType::Q4_0:
      return groups_of_32<Q4_0, R, First>(t, row);
    case DType::Q4_1:
      return groups_of_32<Q4_1, R, First>(t, row);
    case DType::Q5_0:
      return groups_of_32<Q5_0, R, First>(t, row);
    case DType::Q8_0:
      return groups_of_32<Q8_0, R, First>(t, row);
    case DType::Q4_K:
      return super_blocks<Q4_K, R, First>(t, row);
    case DType::Q5_K:
      return super_blocks<Q5_K, R, First>(t, row);
    case DType::Q6_K:
      return super_blocks_q6<R, First>(t, row);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

template <int R>
static void quantised_rows(const LinearTask& t, size_t row) {
  row == 0 ? rows_of_type<R, true>(t, row) : rows_of_type<R, false>(t, row);
}

// Rows [row, end), which are in one tile: R at a time, then fewer.
template <int R>
static void rows_of_tile(const LinearTask& t, size_t row, size_t end) {
  for (; row + R <= end; row += R) quantised_rows<R>(t, row);
  if constexpr (R > 1) rows_of_tile<R / 2>(t, row, end);
}

#if !defined(HEADRACE_TILES)
static void linear_quantised(const LinearTask& t) {
  constexpr int R = static_cast<int>(kTileRows);
  size_t row = 0;
  for (; row + kTileRows <= t.rows; row += kTileRows) quantised_rows<R>(t, row);
  rows_of_tile<R <= 8 ? R / 2 : 8>(t, row, t.rows);
}
#endif

}  // namespace headrace::cpu::HEADRACE_TIER
