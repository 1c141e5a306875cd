// Inputs for tests: seeded, the same on every machine (the standard library's distributions are not), and
// with the values on which kernels stumble.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace headrace::ops_testing {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits();
  uint32_t below(uint32_t bound);  // [0, bound)
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  float uniform();  // [-1, 1)
  float normal();   // about normal with variance 1; a sum of uniform draws, so no libm
  template <typename T>
  const T& pick(std::span<const T> values) {
    return values[below(static_cast<uint32_t>(values.size()))];
  }
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[below(static_cast<uint32_t>(i))]);
  }

 private:
  uint64_t state_;
};

/// What a vector of activations looks like. spiky: one value in 64 a thousand times larger. zeros: +0 and -0.
/// mixed: every 32 values of another kind.
enum class Values : uint8_t { normal, spiky, zeros, huge, tiny, denormal, mixed };
inline constexpr size_t kValueKinds = 7;

std::vector<float> random_floats(Random& random, size_t count, Values kind = Values::normal);

/// `n` weight rows of k elements as a model file stores them: any quants, scales of either sign (some zero or
/// subnormal), finite.
std::vector<std::byte> random_weights(Random& random, DType type, size_t n, size_t k);

}  // namespace headrace::ops_testing
