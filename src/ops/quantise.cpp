#include "ops/quantise.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace headrace {

float quantise_group(const float* x, size_t n, int8_t* q) {
  // Magnitudes are compared as integers, where infinities and NaNs are the largest: no machine's rule for
  // comparing NaNs can be seen.
  uint32_t largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  const bool finite = largest < 0x7F800000U;
  const float magnitude = std::bit_cast<float>(largest);
  if (!finite || magnitude < kSmallestGroup) {
    std::fill(q, q + n, int8_t{0});
    return finite ? 0.0F : std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = 127.0F / magnitude;
  for (size_t i = 0; i < n; ++i) {
    const float rounded = (x[i] * inverse + 0x1.8p23F) - 0x1.8p23F;
    q[i] = static_cast<int8_t>(std::clamp(rounded, -127.0F, 127.0F));
  }
  return magnitude / 127.0F;
}

}  // namespace headrace
