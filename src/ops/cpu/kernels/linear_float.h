// Linear with float weights, one panel of 16 outputs at a time.
//
// Contract (docs/numerics.md, "Float weights"): segments of 64 inputs, acc = fma(w, x, acc) from +0 in order
// of k; segment sums combine by R0's tree. Layout: panel.h. Bound: one row reads
// each weight once (memory); many rows are FMA-bound. The FMA's latency is hidden by independent chains: rows
// times segments, always kFloatTile of them, so tiles of one row take eight segments.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

// `inputs` neighbours along K are read at once.
struct WeightF32 {
  static constexpr size_t bytes = 4;
  static constexpr size_t inputs = 1;
  static void get(const std::byte* p, V16 (&w)[1]) { w[0] = load(reinterpret_cast<const float*>(p)); }
};
struct WeightF16 {
  static constexpr size_t bytes = 2;
  static constexpr size_t inputs = 1;
  static void get(const std::byte* p, V16 (&w)[1]) { w[0] = load_f16(reinterpret_cast<const uint16_t*>(p)); }
};
struct WeightBF16 {
  static constexpr size_t bytes = 2;
  static constexpr size_t inputs = 2;
  static void get(const std::byte* p, V16 (&w)[2]) {
    load_bf16_pairs(reinterpret_cast<const uint16_t*>(p), w[0], w[1]);
  }
};

constexpr size_t kFloatAheadBytes = 4096;

// Adds S whole segments for R rows, from input `begin` on. First: for these rows the panel comes from memory.
template <typename Format, int R, int S, bool First>
static void float_segments(const LinearTask& t, size_t row, size_t begin, TreeSums<R>& sums) {
  V16 acc[S][R];
  for (int s = 0; s < S; ++s) {
    for (int r = 0; r < R; ++r) acc[s][r] = set1(0.0F);
  }
  const std::byte* x = reinterpret_cast<const std::byte*>(t.x + row * t.x_stride + begin);
  // Hidden from the compiler, which would keep a pointer for each row and input and run out of registers.
  size_t rows[R];
  for (int r = 0; r < R; ++r) {
    rows[r] = static_cast<size_t>(r) * t.x_stride * sizeof(float);
    __asm__("" : "+r"(rows[r]));
  }
  const auto input = [&](int r, size_t k) {
    return set1(*reinterpret_cast<const float*>(x + rows[r] + k * sizeof(float)));
  };
  const std::byte* p = t.panel + begin * 16 * Format::bytes;
  constexpr size_t step_bytes = S * 16 * Format::bytes;
  for (size_t i = 0; i < 64; i += Format::inputs) {
    // Few rows wait for memory. The segments are as many short streams, which prefetchers follow badly: the
    // next tile of segments is asked for from its beginning to its end.
    for (size_t line = 0; S > 1 && line < Format::inputs * step_bytes; line += 64) {
      __builtin_prefetch(p + (64 + i) * step_bytes + line, 0, 2);
    }
    // One segment is one stream, which goes on in the next panel.
    for (size_t line = 0; S == 1 && First && line < Format::inputs * step_bytes; line += 64) {
      __builtin_prefetch(p + kFloatAheadBytes + i * step_bytes + line);
    }
    for (int s = 0; s < S; ++s) {
      const size_t k = static_cast<size_t>(s) * 64 + i;
      V16 w[Format::inputs];
      Format::get(p + k * 16 * Format::bytes, w);
      for (size_t j = 0; j < Format::inputs; ++j) {
        for (int r = 0; r < R; ++r) acc[s][r] = fma(w[j], input(r, k + j), acc[s][r]);
      }
    }
  }
  for (int s = 0; s < S; ++s) sums.add(acc[s]);
}

template <typename Format, int R, bool First>
static void float_rows(const LinearTask& t, size_t row) {
  constexpr int S = kFloatTile / R;
  TreeSums<R> sums((t.k + 63) / 64);
  size_t begin = 0;
  for (; begin + 64 * S <= t.k; begin += 64 * S) float_segments<Format, R, S, First>(t, row, begin, sums);
  for (; begin + 64 <= t.k; begin += 64) float_segments<Format, R, 1, First>(t, row, begin, sums);
  if (begin < t.k) {
    V16 acc[R];
    for (int r = 0; r < R; ++r) acc[r] = set1(0.0F);
    for (size_t k = begin; k < t.k; ++k) {
      V16 w[Format::inputs];
      Format::get(t.panel + k / Format::inputs * Format::inputs * 16 * Format::bytes, w);
      for (int r = 0; r < R; ++r) {
        acc[r] =
            fma(w[k % Format::inputs], set1(t.x[(row + static_cast<size_t>(r)) * t.x_stride + k]), acc[r]);
      }
    }
    sums.add(acc);
  }
  for (int r = 0; r < R; ++r) store(t.y + (row + static_cast<size_t>(r)) * t.y_stride, sums.total(r));
}

// All rows from `row` on of which R fit; returns the next.
template <typename Format, int R>
static size_t float_tiles(const LinearTask& t, size_t row) {
  for (; row + R <= t.rows; row += R)
    row == 0 ? float_rows<Format, R, true>(t, row) : float_rows<Format, R, false>(t, row);
  return row;
}

template <typename Format>
static void float_panel(const LinearTask& t) {
  size_t row = float_tiles<Format, kFloatTile>(t, 0);
  row = float_tiles<Format, 2>(t, row);
  float_tiles<Format, 1>(t, row);
}

static void linear_float(const LinearTask& t) {
  if (t.type == DType::F32) return float_panel<WeightF32>(t);
  if (t.type == DType::F16) return float_panel<WeightF16>(t);
  return float_panel<WeightBF16>(t);
}

}  // namespace headrace::cpu::HEADRACE_TIER
