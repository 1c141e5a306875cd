#include "ops/rope.h"

#include "ops/elementary.h"

namespace headrace {

std::vector<float> rope_frequencies(const RopeSpec& spec) {
  std::vector<float> frequencies(spec.d_rotary / 2);
  for (uint32_t i = 0; i < frequencies.size(); ++i) {
    // Rounded to float after each step, as the training code did: a frequency that is more exact than the
    // model's own moves the angle at position 10,000 by 1e-3.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(spec.d_rotary);
    const float power =
        static_cast<float>(pow_f64(static_cast<double>(spec.base), static_cast<double>(exponent)));
    frequencies[i] = 1.0F / power / spec.linear_factor;
    if (!spec.factors.empty()) frequencies[i] /= spec.factors[i];
  }
  return frequencies;
}

}  // namespace headrace
