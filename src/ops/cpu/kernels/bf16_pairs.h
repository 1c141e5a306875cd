// Linear with BF16 weights and activations rounded to bf16, by AVX512-BF16: level `machine`.
//
// Contract: segments of 256 and R0's tree; within a segment pairs of products are added as vdpbf16ps adds
// them, in order of k. Activations are rounded half to even. Layout: panel.h. Bound: one row reads each
// weight once (memory); many rows are bound by vdpbf16ps, 32 products each. Rows times panels times segments
// are enough independent chains to hide its latency.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

using Pairs = __m512bh;

static inline Pairs load_pairs(const std::byte* p) {
  return reinterpret_cast<Pairs>(_mm512_loadu_si512(p));
}
static inline Pairs broadcast_pair(const uint16_t* p) {
  return reinterpret_cast<Pairs>(broadcast_32(p));
}

// A tile of R rows is [k/2][R][2]: one stream, whatever the rows.
constexpr size_t kPairRows = 12;

static size_t pair_tile_size(size_t k) {
  return kPairRows * k;
}

// Sixteen pairs of one row.
static inline __m512i round_pairs(const float* x) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x)));
}
static void split_pairs(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* tile) {
  for (size_t i = 0; i < k; i += 32) {
    uint16_t* out = tile + i * rows;
    size_t r = 0;
    // Four rows are turned, so that a store takes a pair of each.
    for (; r + 4 <= rows; r += 4) {
      const float* at = x + r * x_stride + i;
      const __m512i a = round_pairs(at);
      const __m512i b = round_pairs(at + x_stride);
      const __m512i c = round_pairs(at + 2 * x_stride);
      const __m512i d = round_pairs(at + 3 * x_stride);
      const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
      const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
      const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
      const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
      const __m512i turned[4] = {_mm512_unpacklo_epi64(ab_low, cd_low), _mm512_unpackhi_epi64(ab_low, cd_low),
                                 _mm512_unpacklo_epi64(ab_high, cd_high),
                                 _mm512_unpackhi_epi64(ab_high, cd_high)};
      for (size_t j = 0; j < 4; ++j) {
        const auto put = [&](size_t lane, __m128i pairs) {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * ((4 * lane + j) * rows + r)), pairs);
        };
        put(0, _mm512_castsi512_si128(turned[j]));
        put(1, _mm512_extracti32x4_epi32(turned[j], 1));
        put(2, _mm512_extracti32x4_epi32(turned[j], 2));
        put(3, _mm512_extracti32x4_epi32(turned[j], 3));
      }
    }
    for (; r < rows; ++r) {
      alignas(64) uint32_t pairs[16];
      _mm512_store_si512(pairs, round_pairs(x + r * x_stride + i));
      for (size_t j = 0; j < 16; ++j) __builtin_memcpy(out + 2 * (j * rows + r), &pairs[j], 4);
    }
  }
}

constexpr size_t kPairAheadBytes = 4096;

// Adds S segments of `inputs` for R rows of a tile of `width`, from row `row` and input `begin` on, and for P
// panels. First: for these rows the panels come from memory.
template <int R, int P, int S, bool First>
static void pair_segments(const MachineTask& t, const uint16_t* tile, size_t width, size_t row, size_t begin,
                          size_t inputs, TreeSums<R> (&sums)[P]) {
  V16 acc[S][P][R];
  for (auto& segment : acc) {
    for (auto& panel : segment) {
      for (V16& sum : panel) sum = set1(0.0F);
    }
  }
  for (size_t i = 0; i < inputs; i += 2) {
    for (size_t s = 0; s < S; ++s) {
      Pairs w[P];
      for (int p = 0; p < P; ++p) {
        const std::byte* at = t.panels[p] + (begin + kMachineSegment * s + i) * 32;
        w[p] = load_pairs(at);
        if (S > 1) __builtin_prefetch(at + S * kMachineSegment * 32, 0, 2);  // the next tile of segments
        if (S == 1 && First) __builtin_prefetch(at + kPairAheadBytes);
      }
      const uint16_t* x = tile + (begin + kMachineSegment * s + i) * width + 2 * row;
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Pairs a = broadcast_pair(x + 2 * r);
        for (int p = 0; p < P; ++p) acc[s][p][r].v = _mm512_dpbf16_ps(acc[s][p][r].v, w[p], a);
      }
    }
  }
  for (int s = 0; s < S; ++s) {
    for (int p = 0; p < P; ++p) sums[p].add(acc[s][p]);
  }
}

template <int R, int P, bool First>
static void pair_rows_from(const MachineTask& t, size_t first, size_t width, size_t row) {
  constexpr int S = R * P >= 8 ? 1 : 8 / (R * P);
  const uint16_t* tile = t.pieces + first / kPairRows * t.tile_stride;
  TreeSums<R> sums[P];
  for (TreeSums<R>& sum : sums) sum.restart(machine_segments(t.k));
  size_t begin = 0;
  for (; begin + S * kMachineSegment <= t.k; begin += S * kMachineSegment)
    pair_segments<R, P, S, First>(t, tile, width, row, begin, kMachineSegment, sums);
  for (; begin + kMachineSegment <= t.k; begin += kMachineSegment)
    pair_segments<R, P, 1, First>(t, tile, width, row, begin, kMachineSegment, sums);
  if (begin < t.k) pair_segments<R, P, 1, First>(t, tile, width, row, begin, t.k - begin, sums);
  for (int p = 0; p < P; ++p) {
    for (int r = 0; r < R; ++r) {
      store(t.y[p] + (first + row + static_cast<size_t>(r)) * t.y_stride, sums[p].total(r));
    }
  }
}

template <int R, int P>
static void pair_rows(const MachineTask& t, size_t first, size_t width, size_t row) {
  first + row == 0 ? pair_rows_from<R, P, true>(t, first, width, row)
                   : pair_rows_from<R, P, false>(t, first, width, row);
}

// Rows from `row` on of the tile that begins with row `first` and has `width` rows.
template <int R, int P>
static void rest_of_tile(const MachineTask& t, size_t first, size_t width, size_t row) {
  for (; row + R <= width; row += R) pair_rows<R, P>(t, first, width, row);
  if constexpr (R > 1) rest_of_tile<R / 2, P>(t, first, width, row);
}

template <int P>
static void pair_tiles(const MachineTask& t) {
  size_t first = 0;
  for (; first + kPairRows <= t.rows; first += kPairRows) pair_rows<kPairRows, P>(t, first, kPairRows, 0);
  if (first < t.rows) rest_of_tile<8, P>(t, first, t.rows - first, 0);
}

static void linear_pairs(const MachineTask& t) {
  if (t.n_panels == 2) return pair_tiles<2>(t);
  pair_tiles<1>(t);
}

}  // namespace headrace::cpu::HEADRACE_TIER
