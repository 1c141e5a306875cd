// Numbers for exactness.h: the same on every machine and with every standard library, and a sequence of
// choices that leaves none out.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace headrace::exactness {

/// A 64-bit finaliser (splitmix64): each bit of the input changes half of the output's.
inline uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}
inline uint64_t mix(uint64_t a, uint64_t b) {
  return mix(mix(a) ^ b);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed)) {}

  uint64_t bits() { return mix(state_++); }
  /// [0, bound); bound >= 1.
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((bits() >> 32) * uint64_t{bound}) >> 32); }
  /// [low, high]; low if high is below it.
  uint32_t between(uint32_t low, uint32_t high) { return high <= low ? low : low + below(high - low + 1); }
  bool one_in(uint32_t n) { return below(n) == 0; }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[below(static_cast<uint32_t>(values.size()))];
  }
  template <typename T>
  const T& pick(const std::vector<T>& values) {
    return values[below(static_cast<uint32_t>(values.size()))];
  }

 private:
  uint64_t state_;
};

/// Which of n values a factor takes in trial k. Each block of n trials takes every value once, in an order
/// of its own, so that few trials suffice to see them all and every pair of two factors comes up.
inline uint32_t stratum(uint64_t seed, uint32_t factor, uint32_t k, uint32_t n) {
  Random random(mix(mix(seed, factor), k / n));
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  for (uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order[k % n];
}

}  // namespace headrace::exactness
