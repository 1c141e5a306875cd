// Sums of segments that were kept in memory become outputs.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

// segments: [count][tile_rows][16], where tile_rows is a multiple of 4 and no less than rows. R0's tree, four
// rows at a time.
static void combine_segments(const float* segments, size_t count, size_t tile_rows, size_t rows, float* y,
                             size_t y_stride) {
  for (size_t row = 0; row < rows; row += 4) {
    TreeSums<4> sums(count);
    for (size_t s = 0; s < count; ++s) {
      const float* in = segments + (s * tile_rows + row) * kPanelWidth;
      V16 segment[4] = {load(in), load(in + 16), load(in + 32), load(in + 48)};
      sums.add(segment);
    }
    for (size_t r = row; r < row + 4 && r < rows; ++r)
      store(y + r * y_stride, sums.total(static_cast<int>(r - row)));
  }
}

}  // namespace headrace::cpu::HEADRACE_TIER
