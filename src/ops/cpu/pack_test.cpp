#include "ops/cpu/pack.h"

#include "ops/cpu/panel.h"
#include "ops/testing/promises.h"
#include "tensor/blocks.h"

namespace headrace::ops_testing {
namespace {

TEST(Panel, DecodesToTheBitsOfDequantiseRow) {
  Random random(1);
  for (size_t type = 0; type < kDTypes; ++type) {
    const auto stored = static_cast<DType>(type);
    for (const size_t k : {256, 768, 1536}) {
      for (const size_t n : {1, 7, 16}) {
        const std::vector<std::byte> rows = random_weights(random, stored, n, k);
        std::vector<std::byte> panel(cpu::panel_bytes(stored, k), std::byte{0xA5});
        cpu::pack_panel(stored, k, n, rows.data(), panel.data());
        std::vector<float> decoded(16 * k);
        cpu::decode_panel(stored, panel.data(), k, 0, 16, decoded.data(), 1, 16);
        for (size_t c = 0; c < 16; ++c) {
          std::vector<float> expected(k);  // zeros beyond the matrix's edge
          if (c < n) dequantise_row(stored, rows.data() + c * *bytes_of(stored, k), k, expected.data());
          std::vector<float> column(k);
          for (size_t i = 0; i < k; ++i) column[i] = decoded[16 * i + c];
          ASSERT_TRUE(equal_bits(expected, column)) << name_of(stored) << ", column " << c << " of " << n;
          cpu::decode_panel(stored, panel.data(), k, c, 1, column.data(), 0, 1);
          ASSERT_TRUE(equal_bits(expected, column)) << name_of(stored) << ", column " << c << " alone";
        }
      }
    }
  }
}

TEST(Panel, TakesWhatItsRowsTakeInTheFileOrThreePerCentMore) {
  for (size_t type = 0; type < kDTypes; ++type) {
    const auto stored = static_cast<DType>(type);
    const size_t file = 16 * *bytes_of(stored, 1536);
    EXPECT_GE(cpu::panel_bytes(stored, 1536), file) << name_of(stored);
    EXPECT_LE(cpu::panel_bytes(stored, 1536), file + file * 3 / 100) << name_of(stored);
  }
}

}  // namespace
}  // namespace headrace::ops_testing
