// Linear with quantised weights and int8 activations on AMX tiles, one panel of 16 outputs at a time.
//
// Contract: that of linear_quantised.h, bit for bit; few rows go there. A tile holds 16 rows of activations
// (A), a quad a row of 16 outputs (B), or 16 x 16 int32 sums (C).
//   groups of 32   A 16 x 32, B 8 x 64 bytes. Each group's sums leave the tile and become float.
//   super-blocks   A 16 x 64, B 16 x 64. A weight times its group's integer scale is split into two bytes,
//                  high and low, so that the sums of all 256 inputs stay in two tiles until the end:
//                  sum = high << shift + low, exactly.
// The panel is decoded to bytes once and stays in the second-level cache while tiles of rows go by; two tiles
// of rows share each B. Sums of one segment are turned into floats while tiles multiply the next one.
// Bound: groups of 32 by that turning (about 24 cycles of the two vector units beside 16 of a tile that is
// half full), super-blocks by tiles (twice the products).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

constexpr size_t kTileRows = 16;
// Below this the panel's decoding costs more than what tiles save.
constexpr size_t kLeastTileRows = 8;

// Tiles 0 to 3 are sums, 4 and 5 rows of activations, 6 and 7 weights.
constexpr TileShapes tile_shapes(uint16_t inputs) {
  TileShapes shapes;
  for (int t = 0; t < 8; ++t) {
    shapes.rows[t] = static_cast<uint8_t>(t < 6 ? kTileRows : inputs / 4);
    shapes.row_bytes[t] = t == 4 || t == 5 ? inputs : 64;
  }
  return shapes;
}

static inline I16 load_ints(const int32_t* p) {
  return {_mm512_load_si512(p)};
}
static inline void store_quad(int8_t* p, __m512i quad) {
  _mm512_store_si512(p, quad);
}

// --- groups of 32 -----------------------------------------------------------------------------------------

// Bytes of one group as tiles multiply them: signed, 8 quads.
constexpr size_t kGroupTile = 512;

template <typename Format>
static void decode_groups(const LinearTask& t) {
  constexpr size_t group_bytes = Format::d_at + kHalvesBytes * (Format::minimum ? 2 : 1);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(Format::offset));
  int8_t* out = t.decoded;
  for (size_t g = 0; g < t.k / 32; ++g, out += kGroupTile) {
    const std::byte* p = t.panel + g * group_bytes;
    ask_ahead<1>(p, group_bytes);
    for (int j = 0; j < 8; ++j) store_quad(out + 64 * j, _mm512_sub_epi8(Format::quad(p, j).v, offset));
  }
  publish_to_tiles();
}

// Segments of 256 inputs of T tiles of rows, the last with `rows` of them.
template <typename Format, int T>
struct GroupTiles {
  static constexpr size_t group_bytes = Format::d_at + kHalvesBytes * (Format::minimum ? 2 : 1);
  using Sums = int32_t[T][8][16][16];

  const LinearTask& t;
  QuantRows<1> x;
  size_t rows;
  TreeSums<T * 16> totals;
  V16 segment[T * 16];

  GroupTiles(const LinearTask& task, size_t first, size_t count)
      : t(task), x(task, first), rows(count), totals((task.k / 32 + 7) / 8) {
    for (V16& row : segment) row = set1(0.0F);
  }

  void multiply(size_t g, size_t slot, Sums& sums) {
    if constexpr (Format::offset == kSignedOffset)  // the panel's bytes are what tiles take
      load_tile<6>(t.panel + g * group_bytes, 64);
    else
      load_tile<6>(t.decoded + g * kGroupTile, 64);
    zero_tile<0>();
    load_tile<4>(x.group(0, g), t.quants_stride);
    dot_signed_tiles<0, 4, 6>();
    if constexpr (T == 2) {
      zero_tile<1>();
      load_tile<5>(x.group(16, g), t.quants_stride);
      dot_signed_tiles<1, 5, 6>();
    }
    store_tile<0>(sums[0][slot]);
    if constexpr (T == 2) store_tile<1>(sums[1][slot]);
  }

  // Rows [begin, end) of the segment of `count` groups from `first` on become floats.
  template <int Count>
  void add_groups(size_t first, size_t count, size_t begin, size_t end, const Sums& sums) {
    const size_t n = Count == 0 ? count : Count;
    V16 d[8];
    V16 m[8];
    for (size_t g = 0; g < n; ++g) {
      const std::byte* p = t.panel + (first + g) * group_bytes + Format::d_at;
      d[g] = halves(p);
      if (Format::minimum) m[g] = halves(p + kHalvesBytes);
    }
    for (size_t r = begin; r < end; ++r) {
      V16 acc = set1(0.0F);
#pragma GCC unroll 8
      for (size_t g = 0; g < n; ++g) {
        const V16 products = to_float(load_ints(sums[r / 16][g][r % 16]));
        const V16 scale = set1(x.scale(static_cast<int>(r), first + g));
        acc = fma(products, mul(d[g], scale), acc);
        if (Format::minimum)
          acc = fma(set1(x.sum_32(static_cast<int>(r), first + g)), mul(m[g], scale), acc);
      }
      segment[r] = acc;
    }
  }
  void to_floats(size_t first, size_t count, size_t begin, size_t end, const Sums& sums) {
    if (count == 8) return add_groups<8>(first, 8, begin, end, sums);
    add_groups<0>(first, count, begin, end, sums);
  }

  void run(size_t first_row) {
    alignas(64) Sums sums[2];
    const size_t groups = t.k / 32;
    size_t last = 0;        // first group of the segment before
    size_t last_count = 0;  // its groups
    int turn = 0;
    for (size_t begin = 0; begin < groups; begin += 8, turn ^= 1) {
      const size_t count = begin + 8 < groups ? 8 : groups - begin;
      for (size_t g = 0; g < count; ++g) {
        multiply(begin + g, g, sums[turn]);
        if (last_count > 0)
          to_floats(last, last_count, rows * g / count, rows * (g + 1) / count, sums[turn ^ 1]);
      }
      if (last_count > 0) totals.add(segment);
      last = begin;
      last_count = count;
    }
    to_floats(last, last_count, 0, rows, sums[turn ^ 1]);
    totals.add(segment);
    for (size_t r = 0; r < rows; ++r)
      store(t.y + (first_row + r) * t.y_stride, totals.total(static_cast<int>(r)));
  }
};

// --- super-blocks of 256 ----------------------------------------------------------------------------------

// Bytes of a super-block: 64 quads of high bytes, then 64 of low ones.
constexpr size_t kHalfBlockTile = 4096;
constexpr size_t kBlockTile = 2 * kHalfBlockTile;

// Unsigned weights (below 32) times scales of 6 bits: a scale is 8 high + low, both below 8, so that the
// products fit an unsigned byte (31 * 7 = 217), and one multiplication of 16 bits makes two of them.
template <typename Format>
struct ScaledUnsigned {
  static constexpr int shift = 3;
  static constexpr size_t block_bytes = Format::scales_at + 256 + 2 * kHalvesBytes;
  static constexpr size_t d_at = Format::scales_at + 256;

  template <int Sum, int A, int B>
  static void dot() {
    dot_unsigned_tiles<Sum, A, B>();
  }
  static void decode(const std::byte* p, int8_t* out) {
    const uint8_t* scales = bytes(p + Format::scales_at);
    for (size_t g = 0; g < 8; ++g) {
      const __m512i scale = load_u8(scales + 16 * g).v;
      const __m512i twice = _mm512_or_si512(scale, _mm512_slli_epi32(scale, 16));
      const __m512i high = _mm512_srli_epi16(twice, 3);
      const __m512i low = _mm512_and_si512(twice, _mm512_set1_epi16(7));
      for (int j = 0; j < 8; ++j, out += 64) {
        const __m512i w = Format::quad(p + g * Format::group_bytes, j).v;
        store_quad(out, _mm512_mullo_epi16(w, high));
        store_quad(out + kHalfBlockTile, _mm512_mullo_epi16(w, low));
      }
    }
  }
  // What a row's minimums are multiplied with: pairs of 16 bits, one for each group of 32.
  struct Minimums {
    I16 pairs[8];
    V16 dmin;
    explicit Minimums(const std::byte* p) : dmin(halves(p + d_at + kHalvesBytes)) {
      for (size_t g = 0; g < 8; ++g) {
        const I16 minimum = load_u8(bytes(p + Format::scales_at) + 128 + 16 * g);
        pairs[g] = pair_16(minimum, minimum);
      }
    }
    V16 add(V16 acc, V16 scale, const int16_t* sums_16) const {
      I16 sum = int_set1(0);
      I16 odd = int_set1(0);
      for (size_t g = 0; g < 8; g += 2) {
        sum = dot_pair(sum, pairs[g], sums_16 + 2 * g);
        odd = dot_pair(odd, pairs[g + 1], sums_16 + 2 * g + 2);
      }
      return fma(to_float(int_add(sum, odd)), negate(mul(dmin, scale)), acc);
    }
  };
};

// Signed weights of 6 bits times signed scales of 8 bits: 13 bits, the low six apart.
struct ScaledSigned {
  static constexpr int shift = 6;
  static constexpr size_t block_bytes = kQ6KScales + 256 + kHalvesBytes;
  static constexpr size_t d_at = kQ6KScales + 256;

  template <int Sum, int A, int B>
  static void dot() {
    dot_signed_tiles<Sum, A, B>();
  }
  static void decode(const std::byte* p, int8_t* out) {
    const int8_t* scales = reinterpret_cast<const int8_t*>(p + kQ6KScales);
    const __m512i low_bytes = _mm512_set1_epi16(0x00FF);
    for (size_t g = 0; g < 8; ++g) {
      for (int j = 0; j < 8; ++j, out += 64) {
        const __m512i scale = load_s8(scales + 32 * g + 16 * static_cast<size_t>(j / 4)).v;
        const __m512i twice = _mm512_mask_blend_epi16(0xAAAAAAAA, scale, _mm512_slli_epi32(scale, 16));
        const __m512i even = _mm512_and_si512(twice, low_bytes);
        const __m512i odd = _mm512_slli_epi16(even, 8);
        // maddubs with one of the two bytes zero is a product of 16 bits, and saturates nowhere (63 * 128).
        const __m512i offset = _mm512_srai_epi16(odd, 3);  // 32 times the scale
        const __m512i w = Q6_K::quad(p + g * Q6_K::group_bytes, j).v;
        const __m512i a = _mm512_sub_epi16(_mm512_maddubs_epi16(w, even), offset);
        const __m512i b = _mm512_sub_epi16(_mm512_maddubs_epi16(w, odd), offset);
        const __m512i six = _mm512_set1_epi16(63);
        const __m512i high = _mm512_mask_blend_epi8(0xAAAAAAAAAAAAAAAA, _mm512_srai_epi16(a, 6),
                                                    _mm512_slli_epi16(b, 2));
        const __m512i low = _mm512_or_si512(_mm512_and_si512(a, six),
                                            _mm512_slli_epi16(_mm512_and_si512(b, six), 8));
        store_quad(out, high);
        store_quad(out + kHalfBlockTile, low);
      }
    }
  }
  struct Minimums {
    explicit Minimums(const std::byte* /*p*/) {}
    V16 add(V16 acc, V16 /*scale*/, const int16_t* /*sums_16*/) const { return acc; }
  };
};

template <typename Scaled>
static void decode_blocks(const LinearTask& t) {
  for (size_t b = 0; b < t.k / 256; ++b) {
    const std::byte* p = t.panel + b * Scaled::block_bytes;
    ask_ahead<1>(p, Scaled::block_bytes);
    Scaled::decode(p, t.decoded + b * kBlockTile);
  }
  publish_to_tiles();
}

template <typename Scaled, int T>
struct BlockTiles {
  using Sums = int32_t[T][2][16][16];  // high, low

  const LinearTask& t;
  QuantRows<1> x;
  size_t rows;
  TreeSums<T * 16> totals;
  V16 segment[T * 16];

  BlockTiles(const LinearTask& task, size_t first, size_t count)
      : t(task), x(task, first), rows(count), totals(task.k / 256) {
    for (V16& row : segment) row = set1(0.0F);
  }

  // A quarter of super-block b: 64 inputs.
  void multiply(size_t b, size_t quarter) {
    const int8_t* weights = t.decoded + b * kBlockTile + 1024 * quarter;
    load_tile<4>(x.group(0, 8 * b + 2 * quarter), t.quants_stride);
    load_tile<6>(weights, 64);
    Scaled::template dot<0, 4, 6>();
    load_tile<7>(weights + kHalfBlockTile, 64);
    Scaled::template dot<1, 4, 7>();
    if constexpr (T == 2) {
      load_tile<5>(x.group(16, 8 * b + 2 * quarter), t.quants_stride);
      Scaled::template dot<2, 5, 6>();
      Scaled::template dot<3, 5, 7>();
    }
  }

  void to_floats(size_t b, size_t begin, size_t end, const Sums& sums) {
    const std::byte* p = t.panel + b * Scaled::block_bytes;
    const V16 d = halves(p + Scaled::d_at);
    const typename Scaled::Minimums minimums(p);
    for (size_t r = begin; r < end; ++r) {
      const I16 high = load_ints(sums[r / 16][0][r % 16]);
      const I16 low = load_ints(sums[r / 16][1][r % 16]);
      const V16 scale = set1(x.scale(static_cast<int>(r), b));
      const V16 products = to_float(int_add(shift_left(high, Scaled::shift), low));
      const V16 acc = fma(products, mul(d, scale), set1(0.0F));
      segment[r] = minimums.add(acc, scale, x.pair_of_sums(static_cast<int>(r), 8 * b));
    }
  }

  void run(size_t first_row) {
    alignas(64) Sums sums[2];
    const size_t blocks = t.k / 256;
    for (size_t b = 0; b < blocks; ++b) {
      zero_tile<0>();
      zero_tile<1>();
      if constexpr (T == 2) {
        zero_tile<2>();
        zero_tile<3>();
      }
      for (size_t quarter = 0; quarter < 4; ++quarter) {
        multiply(b, quarter);
        if (b > 0) to_floats(b - 1, rows * quarter / 4, rows * (quarter + 1) / 4, sums[(b - 1) % 2]);
      }
      store_tile<0>(sums[b % 2][0][0]);
      store_tile<1>(sums[b % 2][0][1]);
      if constexpr (T == 2) {
        store_tile<2>(sums[b % 2][1][0]);
        store_tile<3>(sums[b % 2][1][1]);
      }
      if (b > 0) totals.add(segment);
    }
    to_floats(blocks - 1, 0, rows, sums[(blocks - 1) % 2]);
    totals.add(segment);
    for (size_t r = 0; r < rows; ++r)
      store(t.y + (first_row + r) * t.y_stride, totals.total(static_cast<int>(r)));
  }
};

// --- all rows ---------------------------------------------------------------------------------------------

// Two tiles of rows at a time, then one, which need not be full: a tile always reads 16 rows, which are there
// (kTileRows more than the most). Fewer rows than pay are left; returns the first of them.
template <template <typename, int> class Tiles, typename Format>
static size_t whole_tiles(const LinearTask& t) {
  size_t row = 0;
  while (t.rows - row >= kLeastTileRows) {
    const size_t left = t.rows - row;
    if (left >= kTileRows + kLeastTileRows) {
      const size_t count = left < 2 * kTileRows ? left : 2 * kTileRows;
      Tiles<Format, 2>(t, row, count).run(row);
      row += count;
    } else {
      const size_t count = left < kTileRows ? left : kTileRows;
      Tiles<Format, 1>(t, row, count).run(row);
      row += count;
    }
  }
  return row;
}

template <typename Format>
static size_t group_tiles(const LinearTask& t) {
  static constexpr TileShapes shapes = tile_shapes(32);
  if (Format::offset != kSignedOffset) decode_groups<Format>(t);
  configure_tiles(shapes);
  return whole_tiles<GroupTiles, Format>(t);
}
template <typename Scaled>
static size_t block_tiles(const LinearTask& t) {
  static constexpr TileShapes shapes = tile_shapes(64);
  decode_blocks<Scaled>(t);
  configure_tiles(shapes);
  return whole_tiles<BlockTiles, Scaled>(t);
}

static size_t tiles_of_type(const LinearTask& t) {
  switch (t.type) {
    case DType::Q4_0:
      return group_tiles<Q4_0>(t);
    case DType::Q4_1:
      return group_tiles<Q4_1>(t);
    case DType::Q5_0:
      return group_tiles<Q5_0>(t);
    case DType::Q8_0:
      return group_tiles<Q8_0>(t);
    case DType::Q4_K:
      return block_tiles<ScaledUnsigned<Q4_K>>(t);
    case DType::Q5_K:
      return block_tiles<ScaledUnsigned<Q5_K>>(t);
    case DType::Q6_K:
      return block_tiles<ScaledSigned>(t);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      break;
  }
  return 0;
}

static void linear_tiles(const LinearTask& t) {
  if (t.rows < kLeastTileRows) return linear_quantised(t);
  const size_t done = tiles_of_type(t);
  release_tiles();
  quantised_tiles<kQuantRows>(t, done);
}

}  // namespace headrace::cpu::HEADRACE_TIER
