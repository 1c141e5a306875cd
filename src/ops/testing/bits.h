// Comparing results as bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>

namespace headrace::ops_testing {

/// +0 and -0 differ; NaNs are all alike, because which NaN an operation returns is left open by IEEE 754 and
/// is no promise of ours.
template <typename T>
bool same_bits(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  }
  return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Index of the first pair that differs, or of the end of the shorter if the lengths do.
template <typename T>
std::optional<size_t> first_difference(std::span<const T> a, std::span<const T> b) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    if (!same_bits(a[i], b[i])) return i;
  }
  return a.size() == b.size() ? std::nullopt : std::optional<size_t>(n);
}

/// FNV-1a, continued from `hash`; every NaN counts as one and the same.
inline constexpr uint64_t kFnvStart = 0xCBF29CE484222325U;
template <typename T>
uint64_t fnv(std::span<const T> values, uint64_t hash = kFnvStart) {
  for (T value : values) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
    }
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof value);
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001B3U;
  }
  return hash;
}

}  // namespace headrace::ops_testing
