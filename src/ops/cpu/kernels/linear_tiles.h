// Linear with quantised weights and int8 activations on AMX tiles, one panel of 16 outputs at a time.
//
// Contract: that of linear_quantised.h, bit for bit; few rows go there. A tile register holds 16 rows of
// activations (A), a quad a row of 16 outputs (B), or 16 x 16 int32 sums (C).
//   groups of 32   A 16 x 32, B 8 x 64 bytes. Each group's sums leave the tile and become float.
//   super-blocks   A 16 x 64, B 16 x 64. A weight times its group's integer scale is split into two bytes,
//                  high and low, so that the sums of all 256 inputs stay in two tiles until the end:
//                  sum = high << shift + low, exactly.
// A segment of the panel (256 inputs) is decoded to bytes that stay in the first-level cache while all rows
// go by; loads of tiles from the second level would wait for each line. Segment sums meet in R0's order as
// they come. Sums are stored a few steps before they are read, in a ring whose parts differ in their low 12
// bits from what is stored meanwhile: a read that has those in common with a store waits for it.
// Bound of groups of 32: the second of the two units that multiply vectors of 512 bits stands still while
// tiles are at work and for some 400 cycles after (bench_tile_units), so a group of 16 rows takes 48 cycles
// for its floats (conversion, scale, addition) and some 16 for what tile instructions take of the same unit;
// tiles themselves would need 32 (a product and the store of its sums, one after the other). Of super-blocks:
// tiles (twice the products).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

static_assert(kTileRows == 16);
// With fewer rows the panel's decoding, and tiles that are not full, cost more than what tiles save.
constexpr size_t kLeastGroupRows = 12;
constexpr size_t kLeastBlockRows = 10;

// Tiles 0 to 3 are sums, 4 rows of activations, 6 and 7 weights.
constexpr TileShapes tile_shapes(size_t inputs, size_t rows) {
  TileShapes shapes;
  for (int t = 0; t < 8; ++t) {
    shapes.rows[t] = static_cast<uint8_t>(t >= 6 ? inputs / 4 : rows < kTileRows ? rows : kTileRows);
    shapes.row_bytes[t] = static_cast<uint16_t>(t == 4 ? inputs : 64);
  }
  return shapes;
}

static inline I16 load_ints(const int32_t* p) {
  return {_mm512_load_si512(p)};
}
static inline void store_quad(int8_t* p, __m512i quad) {
  _mm512_store_si512(p, quad);
}

// On a lambda: GCC takes the attribute in this place alone.
#define HEADRACE_INLINE __attribute__((always_inline))

// Calls body for constants 0 to N - 1. Arrays that only constants index become registers; those of a loop
// that the compiler unrolls itself may not.
template <size_t I>
struct Index {
  static constexpr size_t value = I;
};
template <size_t I, size_t N, typename Body>
[[gnu::always_inline]] static inline void for_each_index(Body body) {
  if constexpr (I < N) {
    body(Index<I>());
    for_each_index<I + 1, N>(body);
  }
}

// Where a tile of 16 rows of activations stands in a segment. Rows beyond the width are whatever follows.
struct RowTile {
  const int8_t* quants;
  const float* scales;
  const int16_t* sums_32;
  const float* float_sums_32;
  size_t width;

  template <size_t Group>
  static RowTile at(const LinearTask& t, size_t tile, size_t segment) {
    const QuantisedTiles x = tiles_from(t.x_tiles, tile * kTileRows, t.k, Group);
    const size_t left = t.rows - tile * kTileRows;
    const size_t width = left < kTileRows ? left : kTileRows;
    return {x.quants + segment * 256 * width, x.scales + segment * (256 / Group) * width,
            x.sums_32 + segment * 8 * width, x.float_sums_32 + segment * 8 * width, width};
  }
};

// A position in all work on a panel: segment after segment, in each all tiles of rows.
struct Position {
  size_t segment = 0;
  size_t tile = 0;

  Position next(size_t tiles) const {
    return tile + 1 < tiles ? Position{segment, tile + 1} : Position{segment + 1, 0};
  }
};

// R0's order over the segments of a panel (ops/reduce.h): what is added to a segment's sums, and where they
// wait for others. All tiles of rows do the same with a segment. Sums wait in t.segments: slot 0 is the leaf
// that is being filled, slot 1 + l a tree of 2^l leaves.
struct SegmentStep {
  size_t n_adds = 0;
  size_t adds[32];  // slots, in order
  size_t slot = 0;  // where the sum goes then
  bool last = false;
};
class SegmentOrder {
 public:
  explicit SegmentOrder(size_t segments) : segments_(segments), leaf_(segments) {
    while (leaf_ % 2 == 0) leaf_ /= 2;
  }
  SegmentStep next() {
    SegmentStep step;
    step.last = ++done_ == segments_;
    if (in_leaf_ > 0) step.adds[step.n_adds++] = 0;
    if (++in_leaf_ < leaf_) return step;
    in_leaf_ = 0;
    step.slot = 1;
    for (size_t leaves = leaves_++; leaves % 2 == 1; leaves /= 2) step.adds[step.n_adds++] = step.slot++;
    return step;
  }

 private:
  size_t segments_;
  size_t leaf_;  // segments of a leaf: odd
  size_t done_ = 0;
  size_t in_leaf_ = 0;
  size_t leaves_ = 0;
};

// The sums of a segment of a tile of rows.
[[gnu::always_inline]] static inline void finish_segment(const LinearTask& t, size_t tiles,
                                                         const SegmentStep& step, size_t tile,
                                                         V16 (&sums)[kTileRows]) {
  const size_t slot_floats = tiles * kTileRows * kPanelWidth;
  float* at = t.segments + tile * kTileRows * kPanelWidth;
  for (size_t i = 0; i < step.n_adds; ++i) {
    const float* other = at + step.adds[i] * slot_floats;
    for_each_index<0, kTileRows>(
        [&](auto r) HEADRACE_INLINE { sums[r.value] = add(load(other + 16 * r.value), sums[r.value]); });
  }
  if (!step.last) {
    float* out = at + step.slot * slot_floats;
    for_each_index<0, kTileRows>([&](auto r) HEADRACE_INLINE { store(out + 16 * r.value, sums[r.value]); });
    return;
  }
  const size_t first = tile * kTileRows;
  float* y = t.y + first * t.y_stride;
  for_each_index<0, kTileRows>([&](auto r) HEADRACE_INLINE {
    if (first + r.value < t.rows) store(y + r.value * t.y_stride, sums[r.value]);
  });
}

// --- groups of 32 -----------------------------------------------------------------------------------------

// Bytes of one group as tiles multiply them: signed, 8 quads.
constexpr size_t kGroupTile = 512;

// What steps on one segment share. The panel's bytes of Q8_0 are what tiles take.
template <typename Format>
struct GroupSegment {
  static constexpr size_t group_bytes = Format::d_at + kHalvesBytes * (Format::minimum ? 2 : 1);
  static constexpr bool decodes = Format::offset != kSignedOffset;
  static constexpr size_t stride = decodes ? kGroupTile : group_bytes;  // from one group to the next
  V16 d[8];
  V16 m[8];

  static int8_t* decoded(const LinearTask& t, size_t segment) {
    return t.decoded + segment % 2 * (8 * kGroupTile);
  }
  static const int8_t* weights(const LinearTask& t, size_t segment) {
    return decodes ? decoded(t, segment)
                   : reinterpret_cast<const int8_t*>(t.panel + segment * 8 * group_bytes);
  }
  void read(const LinearTask& t, size_t segment, size_t g) {
    const std::byte* p = t.panel + (segment * 8 + g) * group_bytes;
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(Format::offset));
    ask_ahead(p, group_bytes);
    d[g] = halves(p + Format::d_at);
    if (Format::minimum) m[g] = halves(p + Format::d_at + kHalvesBytes);
    int8_t* out = decoded(t, segment) + g * kGroupTile;
    for (int j = 0; decodes && j < 8; ++j)
      store_quad(out + 64 * j, _mm512_sub_epi8(Format::quad(p, j).v, offset));
  }
};

// A segment of one tile of rows: up to eight groups.
template <typename Format>
struct GroupUnit {
  RowTile rows = {};
  size_t tile = 0;
  size_t groups = 0;
  const GroupSegment<Format>* segment = nullptr;
  const SegmentStep* step = nullptr;
  const float (*scaled_sums)[kTileRows] = nullptr;  // of groups, where the format has a minimum
};

// What minimums are multiplied with: each group's sum times its scale.
static inline void scale_sums(const RowTile& rows, size_t groups, float (&out)[8][kTileRows]) {
  if (rows.width == kTileRows) {
    for (size_t g = 0; g < groups; ++g)
      store(out[g], mul(load(rows.float_sums_32 + g * kTileRows), load(rows.scales + g * kTileRows)));
    return;
  }
  for (size_t i = 0; i < groups * rows.width; ++i)
    out[i / rows.width][i % rows.width] = rows.float_sums_32[i] * rows.scales[i];
}

// Sums of group `Group` become floats.
template <size_t Group, typename Format, size_t Begin, size_t End>
[[gnu::always_inline]] static inline void groups_to_floats(const GroupUnit<Format>& unit,
                                                           const int32_t (&sums)[16][16], V16 (&acc)[16]) {
  const float* scales = unit.rows.scales + Group * unit.rows.width;
  for_each_index<Begin, End>([&](auto r) HEADRACE_INLINE {
    const V16 scale = set1(scales[r.value]);
    const V16 d = mul(unit.segment->d[Group], scale);
    acc[r.value] = fma(to_float(load_ints(sums[r.value])), d, acc[r.value]);
    if (Format::minimum)
      acc[r.value] = fma(set1(unit.scaled_sums[Group][r.value]), unit.segment->m[Group], acc[r.value]);
  });
}

// A segment is decoded while the one before meets its last tile of rows, beside tile instructions: with
// 16 or 32 rows a sixth faster than right before its first tile (1B Q4_0, two threads). With one tile of rows
// the unit before still needs the scales of its last kLag groups then; those are read before they are written
// over.
template <typename Format>
static void group_tiles(const LinearTask& t, size_t tiles) {
  constexpr size_t kLag = 3;
  configure_tiles(tile_shapes(32, t.rows));
  const size_t groups = t.k / 32;
  const size_t segments = (groups + 7) / 8;
  const auto groups_of = [&](size_t segment) {
    return segment >= segments ? 0 : segment + 1 < segments ? 8 : groups - 8 * segment;
  };
  GroupSegment<Format> shared[2];
  SegmentOrder order(segments);
  SegmentStep steps[2];
  alignas(4096) int32_t sums[8][16][16];
  alignas(64) float scaled_sums[2][8][kTileRows];
  size_t unit_number = 0;
  V16 acc[16];
  for_each_index<0, 16>([&](auto r) HEADRACE_INLINE { acc[r.value] = set1(0.0F); });
  for (size_t g = 0; g < groups_of(0); ++g) shared[0].read(t, 0, g);
  GroupUnit<Format> before;
  GroupUnit<Format> now;
  for (Position at;; at = at.next(tiles)) {
    before = now;
    now = {};
    const Position then = at.next(tiles);
    const size_t to_decode = then.segment > at.segment ? groups_of(then.segment) : 0;
    const int8_t* weights = GroupSegment<Format>::weights(t, at.segment);
    if (at.segment < segments) {
      now.groups = groups_of(at.segment);
      now.segment = &shared[at.segment % 2];
      now.step = &steps[at.segment % 2];
      now.tile = at.tile;
      if (at.tile == 0) {
        steps[at.segment % 2] = order.next();
        publish_to_tiles();
      }
      now.rows = RowTile::at<32>(t, at.tile, at.segment);
      if (Format::minimum) {
        scale_sums(now.rows, now.groups, scaled_sums[unit_number % 2]);
        now.scaled_sums = scaled_sums[unit_number++ % 2];
      }
    }
    for_each_index<0, 8>([&](auto g) HEADRACE_INLINE {
      constexpr size_t group = g.value;
      constexpr size_t late = (group + 8 - kLag) % 8;
      const GroupUnit<Format>& unit = group < kLag ? before : now;
      const bool multiplies = group < now.groups;
      const bool floats = late < unit.groups;
      if (multiplies) {
        load_tile<6>(weights + group * GroupSegment<Format>::stride, 64);
        zero_tile<group % 4>();
      }
      if (floats) groups_to_floats<late, Format, 0, 4>(unit, sums[late], acc);
      if (multiplies) load_tile<4>(now.rows.quants + group / 2 * now.rows.width * 64 + group % 2 * 32, 64);
      if (floats) groups_to_floats<late, Format, 4, 8>(unit, sums[late], acc);
      if (multiplies) dot_signed_tiles<group % 4, 4, 6>();
      if (floats) groups_to_floats<late, Format, 8, 12>(unit, sums[late], acc);
      if (multiplies) store_tile<group % 4>(sums[group]);
      if (floats) groups_to_floats<late, Format, 12, 16>(unit, sums[late], acc);
      if constexpr (late == 7) {
        if (unit.groups > 0) finish_segment(t, tiles, *unit.step, unit.tile, acc);
        for_each_index<0, 16>([&](auto r) HEADRACE_INLINE { acc[r.value] = set1(0.0F); });
      }
      if (group < to_decode) shared[then.segment % 2].read(t, then.segment, group);
    });
    if (now.groups == 0) break;
  }
}

// --- super-blocks of 256 ----------------------------------------------------------------------------------

// Bytes of a super-block: 64 quads of high bytes, then 64 of low ones. A tile register holds a quarter of
// either.
constexpr size_t kQuarterTile = 1024;
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
  static void decode(const std::byte* p, size_t quarter, int8_t* out) {
    const uint8_t* scales = bytes(p + Format::scales_at);
    out += quarter * kQuarterTile;
    for (size_t g = 2 * quarter; g < 2 * quarter + 2; ++g) {
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
  // What all rows have in common: the scales, and the minimums of two groups as pairs of 16 bits.
  struct Constants {
    V16 d;
    V16 dmin;
    I16 pairs[4];
    void read(const std::byte* p) {
      d = halves(p + d_at);
      dmin = negate(halves(p + d_at + kHalvesBytes));
      const uint8_t* minimums = bytes(p + Format::scales_at) + 128;
      for (size_t g = 0; g < 4; ++g)
        pairs[g] = pair_16(load_u8(minimums + 32 * g), load_u8(minimums + 32 * g + 16));
    }
    V16 add_minimums(V16 acc, V16 scale, const int16_t* sums_32, size_t step) const {
      I16 sum = int_set1(0);
      for_each_index<0, 4>(
          [&](auto g) HEADRACE_INLINE { sum = dot_pair(sum, pairs[g.value], sums_32 + g.value * step); });
      return fma(mul(to_float(sum), scale), dmin, acc);
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
  static void decode(const std::byte* p, size_t quarter, int8_t* out) {
    const int8_t* scales = reinterpret_cast<const int8_t*>(p + kQ6KScales);
    const __m512i low_bytes = _mm512_set1_epi16(0x00FF);
    out += quarter * kQuarterTile;
    for (size_t g = 2 * quarter; g < 2 * quarter + 2; ++g) {
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
        const __m512i high =
            _mm512_mask_blend_epi8(0xAAAAAAAAAAAAAAAA, _mm512_srai_epi16(a, 6), _mm512_slli_epi16(b, 2));
        const __m512i low =
            _mm512_or_si512(_mm512_and_si512(a, six), _mm512_slli_epi16(_mm512_and_si512(b, six), 8));
        store_quad(out, high);
        store_quad(out + kHalfBlockTile, low);
      }
    }
  }
  struct Constants {
    V16 d;
    void read(const std::byte* p) { d = halves(p + d_at); }
    V16 add_minimums(V16 acc, V16 /*scale*/, const int16_t* /*sums_32*/, size_t /*step*/) const {
      return acc;
    }
  };
};

// Super-block sums of rows [Row, Row + 4) become floats.
template <typename Scaled, size_t Row>
[[gnu::always_inline]] static inline void blocks_to_floats(const typename Scaled::Constants& constants,
                                                           const RowTile& rows,
                                                           const int32_t (&sums)[2][16][16],
                                                           V16 (&out)[kTileRows]) {
  for_each_index<Row, Row + 4>([&](auto r) HEADRACE_INLINE {
    const I16 high = load_ints(sums[0][r.value]);
    const I16 low = load_ints(sums[1][r.value]);
    const V16 scale = set1(rows.scales[r.value]);
    const V16 sum = to_float(int_add(shift_left(high, Scaled::shift), low));
    const V16 acc = fma(sum, mul(constants.d, scale), set1(0.0F));
    out[r.value] = constants.add_minimums(acc, scale, rows.sums_32 + 2 * r.value, 2 * rows.width);
  });
}

// A super-block is decoded while the one before meets its last tile of rows, as in group_tiles.
template <typename Scaled>
static void block_tiles(const LinearTask& t, size_t tiles) {
  configure_tiles(tile_shapes(64, t.rows));
  const size_t blocks = t.k / 256;
  alignas(4096) int32_t sums[2][2][16][16];  // high, low
  const auto weights = [&](size_t block) { return t.decoded + block % 2 * kBlockTile; };
  const auto decode = [&](size_t block, size_t quarter) {
    const std::byte* p = t.panel + block * Scaled::block_bytes;
    ask_ahead(p + quarter * (Scaled::block_bytes / 4), Scaled::block_bytes / 4);
    Scaled::decode(p, quarter, weights(block));
  };
  typename Scaled::Constants constants[2];
  SegmentOrder order(blocks);
  SegmentStep steps[2];
  Position out;
  RowTile out_rows = {};  // width 0: nothing to turn into floats yet
  V16 floats[kTileRows];
  for_each_index<0, kTileRows>([&](auto r) HEADRACE_INLINE { floats[r.value] = set1(0.0F); });
  size_t step = 0;
  for_each_index<0, 4>([&](auto quarter) HEADRACE_INLINE { decode(0, quarter.value); });
  for (Position in;; ++step) {
    const bool multiplies = in.segment < blocks;
    RowTile rows = {};
    const int8_t* ahead = t.x_tiles.quants;
    const Position then = in.next(tiles);
    const bool decodes = then.segment > in.segment && then.segment < blocks;
    if (multiplies) {
      rows = RowTile::at<256>(t, in.tile, in.segment);
      if (then.segment < blocks) ahead = RowTile::at<256>(t, then.tile, then.segment).quants;
      if (in.tile == 0) {
        constants[in.segment % 2].read(t.panel + in.segment * Scaled::block_bytes);
        steps[in.segment % 2] = order.next();
        publish_to_tiles();
      }
      zero_tile<0>();
      zero_tile<1>();
    }
    for_each_index<0, 4>([&](auto quarter) HEADRACE_INLINE {
      constexpr size_t q = quarter.value;
      if (multiplies) {
        const int8_t* w = weights(in.segment) + q * kQuarterTile;
        load_tile<4>(rows.quants + q * rows.width * 64, 64);
        load_tile<6>(w, 64);
        Scaled::template dot<0, 4, 6>();
        load_tile<7>(w + kHalfBlockTile, 64);
        Scaled::template dot<1, 4, 7>();
        ask_for_lines(ahead + q * kQuarterTile, 16);
      }
      if (4 * q < out_rows.width)
        blocks_to_floats<Scaled, 4 * q>(constants[out.segment % 2], out_rows, sums[(step + 1) % 2], floats);
      if (decodes) decode(then.segment, q);
    });
    if (multiplies) {
      store_tile<0>(sums[step % 2][0]);
      store_tile<1>(sums[step % 2][1]);
    }
    if (out_rows.width > 0) finish_segment(t, tiles, steps[out.segment % 2], out.tile, floats);
    if (!multiplies) break;
    out = in;
    out_rows = rows;
    in = then;
  }
}

// --- all rows ---------------------------------------------------------------------------------------------

static void tiles_of_type(const LinearTask& t, size_t tiles) {
  switch (t.type) {
    case DType::Q4_0:
      return group_tiles<Q4_0>(t, tiles);
    case DType::Q4_1:
      return group_tiles<Q4_1>(t, tiles);
    case DType::Q5_0:
      return group_tiles<Q5_0>(t, tiles);
    case DType::Q8_0:
      return group_tiles<Q8_0>(t, tiles);
    case DType::Q4_K:
      return block_tiles<ScaledUnsigned<Q4_K>>(t, tiles);
    case DType::Q5_K:
      return block_tiles<ScaledUnsigned<Q5_K>>(t, tiles);
    case DType::Q6_K:
      return block_tiles<ScaledSigned>(t, tiles);
    case DType::F32:
    case DType::F16:
    case DType::BF16:
      return;
  }
}

// The last tile need not be full; with too few rows it is left to the other kernel.
static void linear_tiles(const LinearTask& t) {
  const size_t least = t.group == 32 ? kLeastGroupRows : kLeastBlockRows;
  const size_t tiles = (t.rows + kTileRows - least) / kTileRows;
  if (tiles > 0) {
    tiles_of_type(t, tiles);
    release_tiles();
  }
  if (tiles * kTileRows < t.rows) rows_of_tile<8>(t, tiles * kTileRows, t.rows);
}

}  // namespace headrace::cpu::HEADRACE_TIER
