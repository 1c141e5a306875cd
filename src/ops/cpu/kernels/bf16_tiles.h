// Linear with BF16 weights on AMX tiles: level `machine`. An activation is the sum of three bf16 numbers, so
// results are those of float activations but for the order and rounding of additions.
//
// Contract: segments of 256 and R0's tree; within a segment the tile adds products of 32 inputs at a time, for each
// first those of the activations' first pieces, then of the second and the third. Rows of a tile do not see
// each other. Layout: panel.h; a tile of weights is 32 inputs of 16 outputs as they stand in the panel.
// Bound: few rows by memory, many by tiles (three products for one).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

constexpr size_t kPieces = 3;

static inline V16 rounded_to_bf16(V16 x, uint16_t* out) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i half_up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  const __m512i rounded = _mm512_mask_or_epi32(half_up, nan, bits, _mm512_set1_epi32(0x400000));
  const __m512i top = _mm512_srli_epi32(rounded, 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(top));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(top, 16))};
}

// A tile is 16 rows, each its three pieces after one another; rows a power of two apart would fall into the
// same few sets of a cache.
static inline size_t piece_row(size_t k) {
  return kPieces * k + 32;
}
static size_t piece_tile_size(size_t k) {
  return 16 * piece_row(k);
}

static void split_row(const float* x, size_t k, uint16_t* pieces) {
  for (size_t i = 0; i < k; i += 16) {
    V16 rest = load(x + i);
    for (size_t piece = 0; piece < kPieces; ++piece) {
      const V16 rounded = rounded_to_bf16(rest, pieces + piece * k + i);
      // Of an infinity nothing is left, or its row would be NaN.
      const __mmask16 finite = _mm512_cmp_ps_mask(_mm512_abs_ps(rounded.v), _mm512_set1_ps(__builtin_inff()),
                                                  _CMP_LT_OQ);
      rest = {_mm512_maskz_sub_ps(finite, rest.v, rounded.v)};
    }
  }
}

static void split_pieces(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* tile) {
  for (size_t r = 0; r < rows; ++r) split_row(x + r * x_stride, k, tile + r * piece_row(k));
}

// T tiles of rows, P panels. Sums are tiles 2 t + p, activations 4 + t, weights 6 + p.
template <int T, int P>
struct PieceTiles {
  const MachineTask& t;
  size_t first;
  TreeSums<16> sums[T][P];

  PieceTiles(const MachineTask& task, size_t row) : t(task), first(row) {
    for (auto& tile : sums) {
      for (auto& sum : tile) sum.restart(machine_segments(t.k));
    }
  }

  template <int Tile>
  void multiply_rows(size_t piece, size_t begin) const {
    load_tile<4 + Tile>(t.pieces + (first / 16 + Tile) * t.tile_stride + piece * t.k + begin,
                        piece_row(t.k) * sizeof(uint16_t));
    dot_bf16_tiles<2 * Tile, 4 + Tile, 6>();
    if constexpr (P == 2) dot_bf16_tiles<2 * Tile + 1, 4 + Tile, 7>();
  }

  void multiply(size_t begin) const {
    load_tile<6>(t.panels[0] + begin * 32, 64);
    if constexpr (P == 2) load_tile<7>(t.panels[1] + begin * 32, 64);
    for (size_t piece = 0; piece < kPieces; ++piece) {
      multiply_rows<0>(piece, begin);
      if constexpr (T == 2) multiply_rows<1>(piece, begin);
    }
  }

  template <int Sum>
  void add() {
    alignas(64) float out[16][16];
    store_tile<Sum>(out);
    V16 rows[16];
    for (int r = 0; r < 16; ++r) rows[r] = load(out[r]);
    sums[Sum / 2][Sum % 2].add(rows);
  }

  void run(size_t rows) {
    for (size_t begin = 0; begin < t.k; begin += kMachineSegment) {
      const size_t end = begin + kMachineSegment < t.k ? begin + kMachineSegment : t.k;
      zero_tile<0>();
      if constexpr (P == 2) zero_tile<1>();
      if constexpr (T == 2) zero_tile<2>();
      if constexpr (T == 2 && P == 2) zero_tile<3>();
      for (size_t i = begin; i < end; i += 32) multiply(i);
      add<0>();
      if constexpr (P == 2) add<1>();
      if constexpr (T == 2) add<2>();
      if constexpr (T == 2 && P == 2) add<3>();
    }
    for (size_t p = 0; p < P; ++p) {
      for (size_t r = 0; r < rows; ++r) {
        store(t.y[p] + (first + r) * t.y_stride, sums[r / 16][p].total(static_cast<int>(r % 16)));
      }
    }
  }
};

template <int P>
static void piece_panels(const MachineTask& t) {
  for (size_t row = 0; row < t.rows; row += 32) {
    const size_t rows = t.rows - row < 32 ? t.rows - row : 32;
    if (rows > 16)
      PieceTiles<2, P>(t, row).run(rows);
    else
      PieceTiles<1, P>(t, row).run(rows);
  }
}

// A tile multiplies as many rows as there are; of full ones the last may read rows that nobody asked for.
static void linear_pieces(const MachineTask& t) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    shapes.rows[tile] = static_cast<uint8_t>(tile < 6 && t.rows < 16 ? t.rows : 16);
    shapes.row_bytes[tile] = 64;
  }
  configure_tiles(shapes);
  if (t.n_panels == 2)
    piece_panels<2>(t);
  else
    piece_panels<1>(t);
  release_tiles();
}

}  // namespace headrace::cpu::HEADRACE_TIER
