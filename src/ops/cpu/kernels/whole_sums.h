// Sums of products (linear_quantised.h) where an instruction adds them up in 32 bits: nothing to widen.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

using DotSum = I16;
using DotScale = I16;
static constexpr int quads_of_sum(int32_t) {
  return 8;
}
static inline DotSum dot_sum_zero() {
  return int_set1(0);
}
static inline DotSum dot_sum_add(DotSum a, DotSum b) {
  return int_add(a, b);
}
static inline I16 whole(DotSum sum) {
  return sum;
}
static inline DotScale dot_scale(I16 scale) {
  return scale;
}
static inline I16 scaled(DotSum sum, DotScale scale) {
  return int_mul(scale, sum);
}

}  // namespace headrace::cpu::HEADRACE_TIER
