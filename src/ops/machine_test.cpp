// Level `machine`: linears with BF16 weights by bf16 products, of every kind that this processor has; AMX's
// tiles are emulated where only they are lacking.
#include <cmath>
#include <limits>

#include "ops/cpu/machine_kernels.h"
#include "ops/testing/emulated_amx.h"
#include "ops/testing/promises.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace headrace::ops_testing {
namespace {

struct Kind {
  const cpu::KernelTable* kernels;
  const cpu::MachineKernels* machine;
};

std::vector<Kind> kinds() {
  std::vector<Kind> kinds;
  for (const cpu::Tier tier : cpu::available_tiers()) {
    if (const auto* machine = cpu::machine_kernels(tier)) kinds.push_back({cpu::kernel_table(tier), machine});
  }
  const bool lacks_tiles = cpu::missing_for(cpu::Tier::amx) && !cpu::missing_for(cpu::Tier::avx512);
  if (lacks_tiles) kinds.push_back({&cpu::emulated_amx_kernels(), &cpu::emulated_amx_bf16_kernels()});
  return kinds;
}

Device device_of(const Kind& kind, size_t threads) {
  return Device(make_cpu_backend(*kind.kernels, kind.machine, threads));
}

std::vector<float> run(Device& device, const Linear& linear, const std::vector<float>& x) {
  const Mat in = device.mat(x, linear.weight.k, 7);
  const Mat out = device.mat(in.rows, linear.weight.n, 3);
  device.ops().linear(in, {{&linear, out}});
  return device.read(out);
}

TEST(Machine, ARowDependsOnNothingButItself) {
  Random random(1);
  for (const Kind& kind : kinds()) {
    for (const uint32_t n : {16, 17, 48, 70}) {
      for (const uint32_t k : {64, 256, 576, 1024}) {
        const auto weights = random_weights(random, DType::BF16, n, k);
        for (const size_t threads : {1, 2}) {
          Device tested = device_of(kind, threads);
          Linear linear = {
              .weight = tested.weight(DType::BF16, n, k, weights), .bias = {}, .split = Split::none};
          if (n % 2 == 0) linear.bias = tested.vec(random_floats(random, n));
          ASSERT_TRUE(rows_stand_alone([&](const std::vector<float>& x) { return run(tested, linear, x); }, k,
                                       random))
              << kind.machine->name << " [" << n << "][" << k << "], " << threads << " threads";
        }
      }
    }
  }
}

// The largest error, in units of 2^-24 times the sum of magnitudes.
double error_of(const Kind& kind, uint32_t k) {
  constexpr uint32_t kOutputs = 33;
  constexpr size_t kRows = 37;
  Random random(2);
  const auto weights = random_weights(random, DType::BF16, kOutputs, k);
  const std::vector<float> x = random_floats(random, kRows * k);
  Device tested = device_of(kind, 2);
  const Linear linear = {
      .weight = tested.weight(DType::BF16, kOutputs, k, weights), .bias = {}, .split = Split::none};
  const std::vector<float> y = run(tested, linear, x);
  double largest = 0;
  std::vector<float> w(k);
  for (size_t n = 0; n < kOutputs; ++n) {
    dequantise_row(DType::BF16, weights.data() + n * k * 2, k, w.data());
    for (size_t r = 0; r < kRows; ++r) {
      double value = 0;
      double magnitude = 0;
      for (size_t i = 0; i < k; ++i) {
        const double product = double{w[i]} * double{x[r * k + i]};
        value += product;
        magnitude += std::abs(product);
      }
      largest = std::max(largest, std::abs(double{y[r * kOutputs + n]} - value) / (0x1p-24 * magnitude));
    }
  }
  return largest;
}

// A segment's 256 products for each piece and the tree over segments, each with a rounding that need not be
// to nearest: 2^-23. Rounded activations are off by up to 2^-9 each, and must be seen to be.
TEST(Machine, ThreePiecesAreFloatActivationsAndOneIsNot) {
  for (const Kind& kind : kinds()) {
    for (const uint32_t k : {64, 576, 2048}) {
      const double error = error_of(kind, k);
      const double roundings = 2 * (3 * 256 + std::ceil(std::log2(k / 256.0 + 1)) + 9);
      if (kind.machine->pieces == 3) {
        EXPECT_LE(error, roundings) << kind.machine->name << " " << k;
      } else {
        EXPECT_LE(error, 0x1p15 + roundings) << kind.machine->name << " " << k;
        EXPECT_GT(error, roundings) << kind.machine->name << " " << k;
      }
    }
  }
}

TEST(Machine, PiecesAddUpToTheActivation) {
  Random random(3);
  for (const Kind& kind : kinds()) {
    if (kind.machine->pieces != 3) continue;
    for (size_t values = 0; values < kValueKinds; ++values) {
      const std::vector<float> x = random_floats(random, 256, static_cast<Values>(values));
      std::vector<uint16_t> pieces(kind.machine->tile_size(x.size()));
      kind.machine->split_tile(x.data(), x.size(), 1, x.size(), pieces.data());
      for (size_t i = 0; i < x.size(); ++i) {
        if (std::abs(x[i]) < 0x1p-100F) continue;  // what is left over may be below the smallest number
        double sum = 0;
        for (size_t piece = 0; piece < 3; ++piece)
          sum += double{bf16_to_f32(pieces[i / 32 * 96 + 32 * piece + i % 32])};
        ASSERT_EQ(sum, double{x[i]});
      }
    }
  }
}

TEST(Machine, WhatIsNotRounded) {
  Random random(4);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Kind& kind : kinds()) {
    constexpr uint32_t kInputs = 128;
    std::vector<float> x(3 * kInputs, 1.0F);
    x[5] = std::nanf("");
    x[kInputs + 5] = kInfinity;
    const std::vector<float> ones(16 * kInputs, 1.0F);
    std::vector<std::byte> weights(2 * ones.size());
    for (size_t i = 0; i < ones.size(); ++i) {
      const uint16_t one = 0x3F80;
      std::memcpy(weights.data() + 2 * i, &one, 2);
    }
    Device tested = device_of(kind, 1);
    const Linear linear = {
        .weight = tested.weight(DType::BF16, 16, kInputs, weights), .bias = {}, .split = Split::none};
    const std::vector<float> y = run(tested, linear, x);
    for (size_t c = 0; c < 16; ++c) {
      EXPECT_TRUE(std::isnan(y[c])) << kind.machine->name;
      EXPECT_EQ(y[16 + c], kInfinity) << kind.machine->name;
      EXPECT_EQ(y[32 + c], 128.0F) << kind.machine->name;
    }
  }
}

// Other types, and numbers of inputs that no tile divides, stay as they are in `exact`.
TEST(Machine, OtherLinearsHaveTheBitsOfExact) {
  Random random(5);
  for (const Kind& kind : kinds()) {
    for (const DType type : {DType::F32, DType::F16, DType::Q8_0, DType::Q4_K, DType::BF16}) {
      const uint32_t k = type == DType::BF16 ? 100 : 512;
      const auto weights = random_weights(random, type, 20, k);
      const std::vector<float> x = random_floats(random, size_t{5} * k);
      Device tested = device_of(kind, 2);
      Device reference = Device(make_reference_backend());
      const Linear found = {.weight = tested.weight(type, 20, k, weights), .bias = {}, .split = Split::none};
      const Linear expected = {
          .weight = reference.weight(type, 20, k, weights), .bias = {}, .split = Split::none};
      ASSERT_TRUE(equal_bits(run(reference, expected, x), run(tested, found, x)))
          << kind.machine->name << " " << name_of(type);
    }
  }
}

}  // namespace
}  // namespace headrace::ops_testing
