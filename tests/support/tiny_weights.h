// Random weight tensors in every stored type, with a chosen spread: the same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/dtype.h"

namespace headrace::testing {

class TinyRandom {
 public:
  explicit TinyRandom(uint64_t seed) : state_(seed) {}
  uint64_t bits();
  double uniform();  // [-1, 1)

 private:
  uint64_t state_;
};

/// The bytes of `rows` rows of `k` elements of `type`, with mean about 0 and standard deviation about
/// `deviation`. k is a multiple of the type's block.
std::string random_tensor(TinyRandom& random, DType type, size_t rows, size_t k, double deviation);

}  // namespace headrace::testing
