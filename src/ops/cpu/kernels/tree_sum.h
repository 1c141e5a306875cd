// ops/reduce.h in lanes: R0's order over segment sums, for R rows at once.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

template <int R>
struct TreeSums {
  size_t odd = 1;
  size_t in_leaf = 0;
  size_t leaves = 0;
  size_t top = 0;
  V16 leaf[R];
  V16 stack[24][R];  // 2^24 leaves: far beyond any K

  TreeSums() {}
  explicit TreeSums(size_t segments) { restart(segments); }
  void restart(size_t segments) {
    odd = segments;
    while (odd % 2 == 0 && odd > 1) odd /= 2;
  }

  // Changes `segment`, which stays in registers until the one store: stores of whole rows are slow.
  void add(V16 (&segment)[R]) {
    if (in_leaf > 0) plus(leaf, segment);
    if (++in_leaf < odd) return put(segment, leaf);
    in_leaf = 0;
    size_t level = 0;
    for (size_t done = leaves++; done % 2 == 1; done /= 2, ++level) plus(stack[level], segment);
    put(segment, stack[level]);
    top = level;
  }

  V16 total(int r) const { return stack[top][r]; }

 private:
  static void plus(const V16 (&left)[R], V16 (&right)[R]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) right[r] = headrace::cpu::HEADRACE_TIER::add(left[r], right[r]);
  }
  static void put(const V16 (&from)[R], V16 (&to)[R]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) to[r] = from[r];
  }
};

}  // namespace headrace::cpu::HEADRACE_TIER
