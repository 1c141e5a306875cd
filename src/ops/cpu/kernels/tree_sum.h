// ops/reduce.h in lanes: R0's order over segment sums, for R rows at once.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

template <int R>
struct TreeSums {
  size_t odd;
  size_t in_leaf = 0;
  size_t leaves = 0;
  size_t top = 0;
  V16 leaf[R];
  V16 stack[24][R];  // 2^24 leaves: far beyond any K

  explicit TreeSums(size_t segments) : odd(segments) {
    while (odd % 2 == 0 && odd > 1) odd /= 2;
  }

  void add(const V16 (&segment)[R]) {
    for (int r = 0; r < R; ++r)
      leaf[r] = in_leaf == 0 ? segment[r] : headrace::cpu::HEADRACE_TIER::add(leaf[r], segment[r]);
    if (++in_leaf < odd) return;
    in_leaf = 0;
    size_t level = 0;
    for (size_t done = leaves++; done % 2 == 1; done /= 2, ++level) {
      for (int r = 0; r < R; ++r) leaf[r] = headrace::cpu::HEADRACE_TIER::add(stack[level][r], leaf[r]);
    }
    for (int r = 0; r < R; ++r) stack[level][r] = leaf[r];
    top = level;
  }

  V16 total(int r) const { return stack[top][r]; }
};

}  // namespace headrace::cpu::HEADRACE_TIER
