#include "ops/testing/promises.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/testing/emulated_amx.h"

namespace headrace::ops_testing {
namespace {

std::vector<float> pool_row(Random& random, size_t in, size_t index) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (index % 11 == 3) return std::vector<float>(in, kNan);
  std::vector<float> row = random_floats(random, in, static_cast<Values>(random.below(kValueKinds)));
  if (index % 11 == 5) row[random.below(static_cast<uint32_t>(in))] = kNan;
  if (index % 11 == 7) row[random.below(static_cast<uint32_t>(in))] = -kInfinity;
  return row;
}

}  // namespace

std::vector<size_t> awkward_batches() {
  std::vector<size_t> sizes;
  for (size_t m = 1; m <= 17; ++m) sizes.push_back(m);
  for (const size_t m : {31, 32, 33, 64, 127, 256}) sizes.push_back(m);
  return sizes;
}

::testing::AssertionResult rows_stand_alone(const RowOp& op, size_t in, Random& random) {
  std::vector<std::vector<float>> pool;
  std::vector<std::vector<float>> alone;
  for (size_t i = 0; i < 32; ++i) {
    pool.push_back(pool_row(random, in, i));
    alone.push_back(op(pool.back()));
  }
  for (const size_t m : awkward_batches()) {
    std::vector<uint32_t> chosen(m);
    std::vector<float> batch;
    for (uint32_t& index : chosen) {
      index = random.below(static_cast<uint32_t>(pool.size()));
      batch.insert(batch.end(), pool[index].begin(), pool[index].end());
    }
    const std::vector<float> out = op(batch);
    const size_t width = out.size() / m;
    for (size_t r = 0; r < m; ++r) {
      const std::vector<float> row(out.begin() + r * width, out.begin() + (r + 1) * width);
      const ::testing::AssertionResult same = equal_bits(alone[chosen[r]], row);
      if (!same) return ::testing::AssertionFailure() << "row " << r << " of " << m << ": " << same.message();
    }
  }
  return ::testing::AssertionSuccess();
}

void EveryTier::SetUp() {
  const std::optional<std::string> missing = cpu::missing_for(GetParam());
  if (!missing) return;
  emulated_ = GetParam() == cpu::Tier::amx && !cpu::missing_for(cpu::Tier::avx512);
  if (!emulated_) GTEST_SKIP() << "skipped: " << *missing;
}

Device EveryTier::device(size_t threads) {
  const cpu::KernelTable& kernels = emulated_ ? cpu::emulated_amx_kernels() : *cpu::kernel_table(GetParam());
  return Device(make_cpu_backend(kernels, nullptr, threads));
}

}  // namespace headrace::ops_testing
