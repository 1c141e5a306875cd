#include "ops/cpu/ceilings.h"

#include <gtest/gtest.h>

#include <vector>

#include "ops/cpu/tier.h"

namespace headrace::cpu {
namespace {

TEST(Ceilings, EveryTierMeasuresWithinALittleMemoryAndGivesItBack) {
  for (const Tier tier : available_tiers()) {
    MemoryLedger ledger(uint64_t{8} << 20);
    const Result<Ceilings> ceilings = measure_ceilings(*kernel_table(tier), 2, ledger);
    ASSERT_TRUE(ceilings) << ceilings.error().message;
    EXPECT_EQ(ceilings->threads, 2U);
    EXPECT_EQ(ceilings->stream_bytes, size_t{4} << 20);
    for (const double figure :
         {ceilings->read_stream, ceilings->read_stream_small, ceilings->int8_ops, ceilings->f32_ops}) {
      EXPECT_GT(figure, 0) << name_of(tier);
    }
    EXPECT_EQ(ledger.used(), 0U);
  }
}

TEST(Ceilings, NoMemoryAtAllIsRefused) {
  MemoryLedger ledger(1000);
  const Result<Ceilings> ceilings = measure_ceilings(portable_kernels(), 1, ledger);
  ASSERT_FALSE(ceilings);
  EXPECT_EQ(ceilings.error().code, Errc::out_of_budget);
}

// The loops are only worth their time if none of it is optimised away: each round does the same, so that
// twice the rounds change the sums.
TEST(Ceilings, EveryRoundIsComputed) {
  std::vector<int8_t> bytes(16);
  std::vector<float> floats(16);
  for (size_t i = 0; i < 16; ++i) {
    bytes[i] = static_cast<int8_t>(2 * i + 1);
    floats[i] = static_cast<float>(i);
  }
  std::vector<float> ones(1024, 1.0F);
  for (const Tier tier : available_tiers()) {
    const KernelTable& kernels = *kernel_table(tier);
    EXPECT_NE(kernels.peak_int8(bytes.data(), 1), kernels.peak_int8(bytes.data(), 2)) << name_of(tier);
    EXPECT_NE(kernels.peak_f32(floats.data(), 1), kernels.peak_f32(floats.data(), 2)) << name_of(tier);
    EXPECT_EQ(kernels.read_floats(ones.data(), ones.size()), 1024.0F) << name_of(tier);
  }
}

}  // namespace
}  // namespace headrace::cpu
