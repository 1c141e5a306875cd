#include "decode/retained_layers.h"

#include <algorithm>

namespace headrace {

std::vector<bool> retained_layers(uint32_t layers, uint32_t speedup) {
  std::vector<bool> keep(layers, speedup <= 1 || layers <= 2);
  if (speedup <= 1 || layers <= 2) return keep;
  const uint32_t wanted = std::max(layers / speedup, 2U);
  const uint32_t step = layers / (wanted - 1);
  keep.front() = keep.back() = true;
  uint32_t kept = 2;
  for (uint32_t l = 1; l + 1 < layers && kept < wanted; ++l) {
    if (l % step != 0) continue;
    keep[l] = true;
    ++kept;
  }
  return keep;
}

}  // namespace headrace
