// What op tests assert, for GoogleTest: equal bits, rows that depend on nothing but themselves, and tests
// that run on every kernel tier.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"
#include "ops/testing/bits.h"
#include "ops/testing/device.h"
#include "ops/testing/random.h"

namespace headrace::cpu {

/// GoogleTest and CTest show a test's parameter.
inline void PrintTo(Tier tier, std::ostream* out) {
  *out << name_of(tier);
}

}  // namespace headrace::cpu

namespace headrace::ops_testing {

template <typename T>
::testing::AssertionResult equal_bits(const std::vector<T>& expected, const std::vector<T>& found) {
  const std::optional<size_t> at = first_difference(std::span<const T>(expected), std::span<const T>(found));
  if (!at) return ::testing::AssertionSuccess();
  if (expected.size() != found.size()) {
    return ::testing::AssertionFailure() << expected.size() << " values against " << found.size();
  }
  return ::testing::AssertionFailure()
         << fmt::format("value {} of {}: expected {} ({:a}), found {} ({:a})", *at, expected.size(),
                        expected[*at], double(expected[*at]), found[*at], double(found[*at]));
}

/// An op on a batch: takes rows [n][in] and returns rows [n][out].
using RowOp = std::function<std::vector<float>(const std::vector<float>& rows)>;

/// Batches that tile sizes do not divide, and those around them.
std::vector<size_t> awkward_batches();

/// Runs random batches of all awkward sizes, drawn in random order from a pool of rows that holds ordinary
/// ones, garbage, and rows of NaN and infinity; each row must have the bits that it has alone.
::testing::AssertionResult rows_stand_alone(const RowOp& op, size_t in, Random& random);

/// One test per kernel tier; on a machine that lacks the tier it says so and is skipped. Where only AMX's
/// tiles are lacking, they are emulated.
class EveryTier : public ::testing::TestWithParam<cpu::Tier> {
 protected:
  void SetUp() override;
  Device device(size_t threads = 1);
  Device reference() { return Device(make_reference_backend()); }

 private:
  bool emulated_ = false;
};

#define HEADRACE_ON_EVERY_TIER(Suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(                                                                       \
      Cpu, Suite,                                                                                 \
      ::testing::Values(cpu::Tier::portable, cpu::Tier::avx2, cpu::Tier::avx512, cpu::Tier::amx), \
      [](const auto& tested) { return std::string(cpu::name_of(tested.param)); })

}  // namespace headrace::ops_testing
