// Linear: every weight type on every kernel tier against the reference, the reference against float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "ops/quantise.h"
#include "ops/testing/promises.h"
#include "tensor/blocks.h"

namespace headrace::ops_testing {
namespace {

constexpr DType kTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q8_0, DType::Q4_0,
                            DType::Q4_1, DType::Q5_0, DType::Q4_K, DType::Q5_K, DType::Q6_K};
constexpr ActivationNumerics kNumerics[] = {ActivationNumerics::int8, ActivationNumerics::f32};

// Numbers of inputs that the type allows, with segments, leaves and trees of uneven lengths.
std::vector<uint32_t> inputs_of(DType type) {
  if (info_of(type).block_elements == 256) return {256, 512, 768, 1536};
  std::vector<uint32_t> k = {32, 64, 96, 288, 576, 640, 1536};
  if (!info_of(type).quantised) k.insert(k.end(), {1, 7, 100, 1000});
  return k;
}

struct Case {
  DType type = DType::F32;
  uint32_t n = 0;
  uint32_t k = 0;
  std::vector<std::byte> weights;
  std::vector<float> bias;  // empty: none
  ActivationNumerics numerics = ActivationNumerics::int8;
};

Case make_case(Random& random, DType type, uint32_t n, uint32_t k, ActivationNumerics numerics) {
  Case c = {.type = type,
            .n = n,
            .k = k,
            .weights = random_weights(random, type, n, k),
            .bias = {},
            .numerics = numerics};
  if (random.below(2) == 0) c.bias = random_floats(random, n);
  return c;
}

std::string describe(const Case& c, size_t rows) {
  return fmt::format("{} [{}][{}], {} rows, {}", name_of(c.type), c.n, c.k, rows,
                     c.numerics == ActivationNumerics::int8 ? "int8" : "f32");
}

Linear upload(Device& device, const Case& c) {
  Linear linear = {.weight = device.weight(c.type, c.n, c.k, c.weights), .bias = {}, .split = Split::none};
  if (!c.bias.empty()) linear.bias = device.vec(c.bias);
  return linear;
}

std::vector<float> run(Device& device, const Case& c, const Linear& linear, const std::vector<float>& x) {
  const Mat in = device.mat(x, c.k, 7);
  const Mat out = device.mat(in.rows, c.n, 3);
  device.ops(c.numerics).linear(in, {{&linear, out}});
  return device.read(out);
}

std::vector<float> run(Device& device, const Case& c, const std::vector<float>& x) {
  return run(device, c, upload(device, c), x);
}

using LinearOnEveryTier = EveryTier;
HEADRACE_ON_EVERY_TIER(LinearOnEveryTier);

TEST_P(LinearOnEveryTier, HasTheBitsOfTheReference) {
  Random random(1);
  for (const DType type : kTypes) {
    for (const ActivationNumerics numerics : kNumerics) {
      for (const uint32_t k : inputs_of(type)) {
        for (size_t kind = 0; kind < kValueKinds; ++kind) {
          const uint32_t n = random.pick(std::span<const uint32_t>({1, 5, 15, 16, 17, 33, 48}));
          const size_t rows = random.between(1, 10);
          const Case c = make_case(random, type, n, k, numerics);
          std::vector<float> x = random_floats(random, rows * k, static_cast<Values>(kind));
          if (rows % 4 == 0) x[random.below(static_cast<uint32_t>(x.size()))] = std::nanf("");
          if (rows % 5 == 0)
            x[random.below(static_cast<uint32_t>(x.size()))] = -std::numeric_limits<float>::infinity();
          Device expected = reference();
          Device found = device(random.between(1, 2));
          ASSERT_TRUE(equal_bits(run(expected, c, x), run(found, c, x)))
              << describe(c, rows) << ", kind " << kind;
        }
      }
    }
  }
}

TEST_P(LinearOnEveryTier, ARowDependsOnNothingButItself) {
  Random random(2);
  for (const DType type : kTypes) {
    for (const ActivationNumerics numerics : kNumerics) {
      if (numerics == ActivationNumerics::f32 && !info_of(type).quantised)
        continue;  // the same kernel as int8
      for (const size_t threads : {1, 2}) {
        const Case c = make_case(random, type, 17, info_of(type).block_elements == 256 ? 512 : 288, numerics);
        Device tested = device(threads);
        const Linear linear = upload(tested, c);
        ASSERT_TRUE(rows_stand_alone([&](const std::vector<float>& x) { return run(tested, c, linear, x); },
                                     c.k, random))
            << describe(c, 0) << ", " << threads << " threads";
      }
    }
  }
}

// int8 rows go in blocks that fit a cache: so many rows of 2,048 inputs are several on every tier; those of
// 576 inputs have many rows to a block, and sums of three segments for each. The last panel is not full.
TEST_P(LinearOnEveryTier, RowsOfLaterBlocksHaveTheBitsOfRowsAlone) {
  Random random(5);
  for (const auto& [type, inputs, rows] :
       std::initializer_list<std::tuple<DType, uint32_t, size_t>>{{DType::Q4_0, 2048, 320},
                                                                  {DType::Q4_1, 2048, 320},
                                                                  {DType::Q8_0, 2048, 320},
                                                                  {DType::Q4_K, 2048, 320},
                                                                  {DType::Q6_K, 2048, 320},
                                                                  {DType::Q4_1, 576, 912}}) {
    const Case c = make_case(random, type, 17, inputs, ActivationNumerics::int8);
    Device tested = device(2);
    const Linear linear = upload(tested, c);
    const std::vector<float> x = random_floats(random, rows * inputs);
    const std::vector<float> together = run(tested, c, linear, x);
    for (const size_t row : {size_t{0}, size_t{23}, size_t{24}, size_t{119}, size_t{120}, size_t{239},
                             size_t{240}, size_t{255}, size_t{256}, rows - 1}) {
      const auto at = [](const std::vector<float>& values, size_t r, size_t width) {
        const auto begin = values.begin() + static_cast<ptrdiff_t>(r * width);
        return std::vector<float>(begin, begin + static_cast<ptrdiff_t>(width));
      };
      ASSERT_TRUE(equal_bits(run(tested, c, linear, at(x, row, inputs)), at(together, row, c.n)))
          << describe(c, rows) << ", row " << row;
    }
  }
}

// An instruction that adds two products in 16 bits saturates from 32,768 on; -128 * 127 twice is 32,512.
TEST_P(LinearOnEveryTier, TheLargestProductsDoNotSaturate) {
  Random random(3);
  constexpr uint32_t kInputs = 256;
  for (const int quant : {-128, -127, 127}) {
    for (const int sign : {-1, 0, 1}) {  // 0: any
      Case c = {.type = DType::Q8_0,
                .n = 16,
                .k = kInputs,
                .weights = {},
                .bias = {},
                .numerics = ActivationNumerics::int8};
      for (size_t block = 0; block < 16 * kInputs / 32; ++block) {
        c.weights.insert(c.weights.end(), {std::byte{0x00}, std::byte{0x3C}});  // d = 1
        c.weights.insert(c.weights.end(), 32, static_cast<std::byte>(quant));
      }
      std::vector<float> x(kInputs);
      int sum = 0;
      for (float& value : x) {
        const int s = sign != 0 ? sign : (random.below(2) == 0 ? -1 : 1);
        value = static_cast<float>(s);
        sum += s;
      }
      Device tested = device();
      for (const float y : run(tested, c, x))
        ASSERT_NEAR(y, quant * sum, 1e-5 * 128 * kInputs) << quant << " " << sign;
    }
  }
}

// AVX2 adds products in 16 bits, as many as the format's largest quants allow: all bits of all quants set,
// activations all 127 or all -127.
TEST_P(LinearOnEveryTier, TheLargestQuantsDoNotOverflow) {
  struct Format {
    DType type;
    size_t scale_at;  // in a block
    size_t minimum_at;
  };
  constexpr size_t kNone = SIZE_MAX;
  constexpr uint32_t kInputs = 512;
  for (const Format& format :
       {Format{DType::Q4_0, 0, kNone}, Format{DType::Q4_1, 0, 2}, Format{DType::Q5_0, 0, kNone},
        Format{DType::Q4_K, 0, 2}, Format{DType::Q5_K, 0, 2}, Format{DType::Q6_K, 208, kNone}}) {
    const size_t block_bytes = info_of(format.type).block_bytes;
    Case c = {.type = format.type,
              .n = 16,
              .k = kInputs,
              .weights = std::vector<std::byte>(*bytes_of(format.type, kInputs) * 16, std::byte{0xFF}),
              .bias = {},
              .numerics = ActivationNumerics::int8};
    for (size_t block = 0; block < c.weights.size(); block += block_bytes) {
      for (const size_t half : {format.scale_at, format.minimum_at}) {
        if (half == kNone) continue;
        c.weights[block + half] = std::byte{0x00};
        c.weights[block + half + 1] = std::byte{0x3C};  // 1
      }
    }
    for (const float value : {1.0F, -1.0F}) {
      for (const size_t rows : {1, 2, 4, 16}) {
        const std::vector<float> x(rows * kInputs, value);
        Device expected = reference();
        Device found = device();
        ASSERT_TRUE(equal_bits(run(expected, c, x), run(found, c, x)))
            << describe(c, rows) << " of " << value;
      }
    }
  }
}

TEST_P(LinearOnEveryTier, ProjectionsOfOneInputDoNotDisturbEachOther) {
  Random random(4);
  std::vector<Case> cases;
  for (const DType type : kTypes) {
    cases.push_back(make_case(random, type, random.between(1, 40), 512, ActivationNumerics::int8));
  }
  const std::vector<float> x = random_floats(random, 5 * 512);
  for (const size_t threads : {1, 2}) {
    Device tested = device(threads);
    const Mat in = tested.mat(x, 512);
    std::vector<Linear> linears;
    std::vector<Mat> outs;
    for (const Case& c : cases) {
      linears.push_back(upload(tested, c));
      outs.push_back(tested.mat(in.rows, c.n));
    }
    tested.ops().linear(in, {{&linears[0], outs[0]},
                             {&linears[1], outs[1]},
                             {&linears[2], outs[2]},
                             {&linears[3], outs[3]},
                             {&linears[4], outs[4]},
                             {&linears[5], outs[5]},
                             {&linears[6], outs[6]},
                             {&linears[7], outs[7]},
                             {&linears[8], outs[8]},
                             {&linears[9], outs[9]}});
    for (size_t i = 0; i < cases.size(); ++i) {
      Device alone = reference();
      ASSERT_TRUE(equal_bits(run(alone, cases[i], x), tested.read(outs[i]))) << describe(cases[i], 5);
    }
  }
}

TEST_P(LinearOnEveryTier, FewerThreadsChangeNoBit) {
  Random random(8);
  const Case c = make_case(random, DType::Q4_1, 100, 576, ActivationNumerics::int8);
  const std::vector<float> x = random_floats(random, 33 * 576);
  Device tested = device(3);
  const std::vector<float> expected = run(tested, c, x);
  for (const size_t threads : {2, 1, 3}) {
    tested.backend().use_threads(threads);
    EXPECT_TRUE(equal_bits(expected, run(tested, c, x))) << threads;
  }
}

// --- the reference against float64 ----------------------------------------------------------------------

struct Exact {
  double value = 0;
  double magnitude = 0;   // sum of |w x|
  double quantising = 0;  // bound on what int8 activations may change
};

Exact exact_output(const Case& c, size_t n, const float* x) {
  const size_t row_bytes = *bytes_of(c.type, c.k);
  std::vector<float> w(c.k);
  dequantise_row(c.type, c.weights.data() + n * row_bytes, c.k, w.data());
  const size_t group = info_of(c.type).quantised ? activation_group(c.type) : c.k;
  Exact exact;
  for (size_t begin = 0; begin < c.k; begin += group) {
    double largest = 0;
    double weights = 0;
    for (size_t i = begin; i < begin + group; ++i) {
      const double product = double{w[i]} * double{x[i]};
      exact.value += product;
      exact.magnitude += std::abs(product);
      largest = std::max(largest, std::abs(double{x[i]}));
      weights += std::abs(double{w[i]});
    }
    // Half a step for each input, a step being largest / 127; 1e-5 for the roundings of scale and product.
    exact.quantising += weights * largest * (0.5 / 127 + 1e-5);
  }
  if (!c.bias.empty()) {
    exact.value += double{c.bias[n]};
    exact.magnitude += std::abs(double{c.bias[n]});
  }
  return exact;
}

TEST(LinearReference, FloatActivationsAreWithinRoundingOfFloat64) {
  Random random(5);
  for (const DType type : kTypes) {
    for (const uint32_t k : inputs_of(type)) {
      const Case c = make_case(random, type, 7, k, ActivationNumerics::f32);
      const std::vector<float> x = random_floats(random, 3 * k, Values::spiky);
      Device device(make_reference_backend());
      const std::vector<float> y = run(device, c, x);
      // A chain of 64 roundings, then one per segment, one for the bias: each at most half an ulp of the sum
      // of magnitudes.
      const double roundings = 64 + std::ceil(k / 64.0) + 1;
      for (size_t i = 0; i < y.size(); ++i) {
        const Exact exact = exact_output(c, i % 7, x.data() + i / 7 * k);
        ASSERT_NEAR(y[i], exact.value, roundings * 0x1p-24 * exact.magnitude) << describe(c, 3);
      }
    }
  }
}

TEST(LinearReference, Int8ActivationsAreWithinHalfAStepOfFloat64) {
  Random random(6);
  for (const DType type : kTypes) {
    for (const uint32_t k : inputs_of(type)) {
      const Case c = make_case(random, type, 7, k, ActivationNumerics::int8);
      const std::vector<float> x = random_floats(random, 3 * k, Values::spiky);
      Device device(make_reference_backend());
      const std::vector<float> y = run(device, c, x);
      for (size_t i = 0; i < y.size(); ++i) {
        const Exact exact = exact_output(c, i % 7, x.data() + i / 7 * k);
        ASSERT_NEAR(y[i], exact.value, exact.quantising + 1e-5 * exact.magnitude) << describe(c, 3);
      }
    }
  }
}

TEST(LinearReference, ANanOrAnInfinityReachesEveryOutputOfItsRowAndNoOther) {
  Random random(7);
  for (const DType type : kTypes) {
    const Case c = make_case(random, type, 5, 512, ActivationNumerics::int8);
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x = random_floats(random, 3 * 512);
      x[512 + 100] = bad;
      Device device(make_reference_backend());
      const std::vector<float> y = run(device, c, x);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(std::isfinite(y[i]), i / 5 != 1) << name_of(type) << " " << i;
    }
  }
}

}  // namespace
}  // namespace headrace::ops_testing
