// Linear with BF16 weights and activations rounded to bf16, by AVX512-BF16: level `machine`.
//
// Contract: R0's segments and tree; within a segment pairs of products are added as vdpbf16ps adds them, in
// order of k. Activations are rounded half to even. Layout: panel.h. Bound: one row reads each weight once
// (memory); many rows are bound by vdpbf16ps, 32 products each. Rows times panels times segments are enough
// independent chains to hide its latency.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

using Pairs = __m512bh;

static inline Pairs load_pairs(const std::byte* p) {
  return reinterpret_cast<Pairs>(_mm512_loadu_si512(p));
}
static inline Pairs broadcast_pair(const uint16_t* p) {
  return reinterpret_cast<Pairs>(broadcast_32(p));
}

static void split_row(const float* x, size_t k, uint16_t* pieces) {
  for (size_t i = 0; i < k; i += 16) {
    const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(pieces + i), rounded);
  }
}

// Adds S segments for R rows and P panels, from input `begin` on.
template <int R, int P, int S>
static void pair_segments(const MachineTask& t, size_t row, size_t begin, TreeSums<R> (&sums)[P]) {
  V16 acc[S][P][R];
  for (auto& segment : acc) {
    for (auto& panel : segment) {
      for (V16& sum : panel) sum = set1(0.0F);
    }
  }
  const uint16_t* x = t.pieces + row * t.pieces_stride + begin;
  for (size_t i = 0; i < 64; i += 2) {
    for (size_t s = 0; s < S; ++s) {
      Pairs w[P];
      for (int p = 0; p < P; ++p) {
        const std::byte* at = t.panels[p] + (begin + 64 * s + i) * 32;
        w[p] = load_pairs(at);
        if (S > 1) __builtin_prefetch(at + S * 2048, 0, 2);  // the next tile of segments
      }
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Pairs a = broadcast_pair(x + static_cast<size_t>(r) * t.pieces_stride + 64 * s + i);
        for (int p = 0; p < P; ++p) acc[s][p][r].v = _mm512_dpbf16_ps(acc[s][p][r].v, w[p], a);
      }
    }
  }
  for (int s = 0; s < S; ++s) {
    for (int p = 0; p < P; ++p) sums[p].add(acc[s][p]);
  }
}

template <int R, int P>
static void pair_rows(const MachineTask& t, size_t row) {
  constexpr int S = R * P >= 8 ? 1 : 8 / (R * P);
  const size_t segments = t.k / 64;
  TreeSums<R> sums[P];
  for (TreeSums<R>& sum : sums) sum.restart(segments);
  size_t begin = 0;
  for (; begin + 64 * S <= t.k; begin += 64 * S) pair_segments<R, P, S>(t, row, begin, sums);
  for (; begin < t.k; begin += 64) pair_segments<R, P, 1>(t, row, begin, sums);
  for (int p = 0; p < P; ++p) {
    for (int r = 0; r < R; ++r) {
      store(t.y[p] + (row + static_cast<size_t>(r)) * t.y_stride, sums[p].total(r));
    }
  }
}

template <int R, int P>
static void pair_tiles(const MachineTask& t, size_t row) {
  for (; row + R <= t.rows; row += R) pair_rows<R, P>(t, row);
  if constexpr (R > 8) return pair_tiles<8, P>(t, row);
  if constexpr (R > 1 && R <= 8) return pair_tiles<R / 2, P>(t, row);
}

static void linear_pairs(const MachineTask& t) {
  if (t.n_panels == 2) return pair_tiles<12, 2>(t, 0);
  pair_tiles<12, 1>(t, 0);
}

}  // namespace headrace::cpu::HEADRACE_TIER
