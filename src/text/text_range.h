#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace headrace {

/// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin;
  size_t end;

  bool operator==(const TextRange&) const = default;
};

/// What `ranges` (ascending, apart from each other) have in common with `window`, counted from its beginning.
inline std::vector<TextRange> clip(std::span<const TextRange> ranges, TextRange window) {
  std::vector<TextRange> out;
  auto first = std::ranges::partition_point(ranges, [&](TextRange r) { return r.end <= window.begin; });
  for (; first != ranges.end() && first->begin < window.end; ++first) {
    out.push_back({std::max(first->begin, window.begin) - window.begin,
                   std::min(first->end, window.end) - window.begin});
  }
  return out;
}

}  // namespace headrace
