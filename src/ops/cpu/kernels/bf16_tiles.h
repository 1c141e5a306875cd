// Linear with BF16 weights on AMX tiles: level `machine`. An activation is the sum of three bf16 numbers, so
// results are those of float activations but for the order and rounding of additions.
//
// Contract: segments of 256 and R0's tree; within a segment the tile adds products of 32 inputs at a time,
// for each first those of the activations' first pieces, then of the second and the third. Rows of a tile do
// not see each other. Layout: panel.h; a tile of weights is 32 inputs of 16 outputs as they stand in the
// panel. Bound: few rows by memory, many by tiles (three products for one). A segment of the panels stays in
// the first-level cache while all rows go by.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

constexpr size_t kPieces = 3;
constexpr size_t kPieceRows = 16;
constexpr size_t kPiecePanels = 4;

// A tile is [k / 32][piece][width][32]: what a step multiplies is one stream.
static size_t piece_tile_size(size_t k) {
  return kPieces * kPieceRows * k;
}

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

static void split_pieces(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* tile) {
  for (size_t i = 0; i < k; i += 16) {
    uint16_t* step = tile + i / 32 * (kPieces * rows * 32) + i % 32;
    for (size_t r = 0; r < rows; ++r) {
      V16 rest = load(x + r * x_stride + i);
      for (size_t piece = 0; piece < kPieces; ++piece) {
        const V16 rounded = rounded_to_bf16(rest, step + (piece * rows + r) * 32);
        // Of an infinity nothing is left, or its row would be NaN.
        const __mmask16 finite =
            _mm512_cmp_ps_mask(_mm512_abs_ps(rounded.v), _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ);
        rest = {_mm512_maskz_sub_ps(finite, rest.v, rounded.v)};
      }
    }
  }
}

// Sums are tiles 0 to 3, a panel each; pieces are 4 to 6, weights 7.
template <int P>
static inline void multiply_panel(const MachineTask& t, size_t input) {
  load_tile<7>(t.panels[P] + input * 32, 64);
  dot_bf16_tiles<P, 4, 7>();
  dot_bf16_tiles<P, 5, 7>();
  dot_bf16_tiles<P, 6, 7>();
}
template <int P>
static inline void keep_panel(float* segments) {
  store_tile<P>(*reinterpret_cast<float(*)[16][16]>(segments));
}

template <int Panels>
static void piece_panels(const MachineTask& t) {
  const size_t tiles = (t.rows + kPieceRows - 1) / kPieceRows;
  const size_t tile_floats = kPieceRows * kPanelWidth;
  const size_t panel_floats = machine_segments(t.k) * tiles * tile_floats;
  for (size_t segment = 0; segment < machine_segments(t.k); ++segment) {
    const size_t begin = segment * kMachineSegment;
    const size_t end = begin + kMachineSegment < t.k ? begin + kMachineSegment : t.k;
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t left = t.rows - tile * kPieceRows;
      const size_t width = left < kPieceRows ? left : kPieceRows;
      const uint16_t* pieces = t.pieces + tile * t.tile_stride;
      zero_tile<0>();
      if constexpr (Panels > 1) zero_tile<1>();
      if constexpr (Panels > 2) zero_tile<2>();
      if constexpr (Panels > 3) zero_tile<3>();
      for (size_t i = begin; i < end; i += 32) {
        const uint16_t* step = pieces + i * (kPieces * width);
        ask_for_lines(step + kPieces * kPieceRows * 32, kPieces * kPieceRows);
        load_tile<4>(step, 64);
        load_tile<5>(step + width * 32, 64);
        load_tile<6>(step + 2 * width * 32, 64);
        multiply_panel<0>(t, i);
        if constexpr (Panels > 1) multiply_panel<1>(t, i);
        if constexpr (Panels > 2) multiply_panel<2>(t, i);
        if constexpr (Panels > 3) multiply_panel<3>(t, i);
      }
      float* keep = t.segments + (segment * tiles + tile) * tile_floats;
      keep_panel<0>(keep);
      if constexpr (Panels > 1) keep_panel<1>(keep + panel_floats);
      if constexpr (Panels > 2) keep_panel<2>(keep + 2 * panel_floats);
      if constexpr (Panels > 3) keep_panel<3>(keep + 3 * panel_floats);
    }
  }
  for (size_t p = 0; p < Panels; ++p) {
    combine_segments(t.segments + p * panel_floats, machine_segments(t.k), tiles * kPieceRows, t.rows, t.y[p],
                     t.y_stride);
  }
}

// A tile multiplies as many rows as there are; of several the last may read rows that nobody asked for.
static void linear_pieces(const MachineTask& t) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    shapes.rows[tile] = static_cast<uint8_t>(tile < 7 && t.rows < kPieceRows ? t.rows : kPieceRows);
    shapes.row_bytes[tile] = 64;
  }
  configure_tiles(shapes);
  switch (t.n_panels) {
    case 1:
      piece_panels<1>(t);
      break;
    case 2:
      piece_panels<2>(t);
      break;
    case 3:
      piece_panels<3>(t);
      break;
    default:
      piece_panels<4>(t);
  }
  release_tiles();
}

static constexpr MachineKernels kKernels = {
    .name = "amx-bf16",
    .pieces = kPieces,
    .most_panels = kPiecePanels,
    .tile_rows = kPieceRows,
    .keeps_segments = true,
    .tile_size = piece_tile_size,
    .split_tile = split_pieces,
    .linear = linear_pieces,
};

}  // namespace headrace::cpu::HEADRACE_TIER
