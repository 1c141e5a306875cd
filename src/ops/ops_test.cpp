// The ops on single rows and heads: every kernel tier against the reference, the reference against float64.
#include "ops/ops.h"

#include <bit>
#include <cmath>
#include <limits>

#include "ops/elementary.h"
#include "ops/testing/promises.h"
#include "tensor/blocks.h"

namespace headrace::ops_testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kWidths[] = {1, 7, 15, 16, 17, 64, 100, 576, 640, 1024, 1025, 1536, 3000};
constexpr RopeStyle kStyles[] = {RopeStyle::halves, RopeStyle::interleaved};
constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh};

// Rows of every kind, a NaN in one and an infinity in another.
std::vector<float> rows_of_all_kinds(Random& random, size_t cols) {
  std::vector<float> x;
  for (size_t kind = 0; kind < kValueKinds; ++kind) {
    const std::vector<float> row = random_floats(random, cols, static_cast<Values>(kind));
    x.insert(x.end(), row.begin(), row.end());
  }
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    std::vector<float> row = random_floats(random, cols);
    row[random.below(static_cast<uint32_t>(cols))] = bad;
    x.insert(x.end(), row.begin(), row.end());
  }
  return x;
}

std::vector<float> norm(Device& device, const std::vector<float>& x, const std::vector<float>& gain) {
  const Mat in = device.mat(x, gain.size(), 3);
  const Mat out = device.mat(in.rows, in.cols, 5);
  device.ops().rms_norm(in, device.vec(gain), 1e-5F, out);
  return device.read(out);
}

std::vector<float> gated(Device& device, Activation act, const std::vector<float>& x,
                         const std::vector<float>& up, size_t cols) {
  const Mat gate = device.mat(x, cols, 3);
  const Mat out = device.mat(gate.rows, cols, 1);
  device.ops().gated(act, gate, device.mat(up, cols), out);
  return device.read(out);
}

std::vector<double> log_sums(Device& device, const std::vector<float>& x, size_t cols) {
  const Mat in = device.mat(x, cols, 3);
  double* out = device.make<double>(in.rows);
  device.ops().log_sum_exp(in, out);
  return device.download(out, in.rows);
}

std::vector<int32_t> largest(Device& device, const std::vector<float>& x, size_t cols) {
  const Mat in = device.mat(x, cols, 3);
  int32_t* out = device.make<int32_t>(in.rows);
  device.ops().argmax(in, out);
  return device.download(out, in.rows);
}

std::vector<float> angles_of(Device& device, const std::vector<uint32_t>& positions,
                             const std::vector<float>& f) {
  const Mat angles = device.mat(positions.size(), 2 * f.size());
  device.ops().rope_angles(device.upload(positions), device.vec(f), angles);
  return device.read(angles);
}

class OpsOnEveryTier : public EveryTier {
 protected:
  // `op` on the reference and on this tier with one and two threads.
  template <typename F>
  void expect_the_same(F op) {
    Device truth = reference();
    const auto expected = op(truth);
    for (const size_t threads : {1, 2}) {
      Device tested = device(threads);
      ASSERT_TRUE(equal_bits(expected, op(tested))) << threads << " threads";
    }
  }
};
HEADRACE_ON_EVERY_TIER(OpsOnEveryTier);

TEST_P(OpsOnEveryTier, EmbedHasTheBitsOfTheReference) {
  Random random(1);
  for (size_t type = 0; type < kDTypes; ++type) {
    const auto stored = static_cast<DType>(type);
    const std::vector<std::byte> rows = random_weights(random, stored, 37, 512);
    const std::vector<int32_t> ids = {0, 36, 15, 16, 17, 31, 32, 5, 5};
    expect_the_same([&](Device& device) {
      const Mat out = device.mat(ids.size(), 512, 9);
      device.ops().embed(device.upload(ids), device.weight(stored, 37, 512, rows), 22.627417F, out);
      return device.read(out);
    });
  }
}

TEST_P(OpsOnEveryTier, RmsNormHasTheBitsOfTheReference) {
  Random random(2);
  for (const size_t cols : kWidths) {
    const std::vector<float> x = rows_of_all_kinds(random, cols);
    const std::vector<float> gain = random_floats(random, cols);
    expect_the_same([&](Device& device) { return norm(device, x, gain); });
    expect_the_same([&](Device& device) {
      const Mat y = device.mat(x, cols);
      device.ops().rms_norm(y, device.vec(gain), 1e-6F, y);
      return device.read(y);
    });
  }
}

TEST_P(OpsOnEveryTier, GatedHasTheBitsOfTheReference) {
  Random random(3);
  for (const Activation act : kActivations) {
    for (const size_t cols : kWidths) {
      const std::vector<float> gate = rows_of_all_kinds(random, cols);
      const std::vector<float> up = rows_of_all_kinds(random, cols);
      expect_the_same([&](Device& device) { return gated(device, act, gate, up, cols); });
      expect_the_same([&](Device& device) {
        const Mat y = device.mat(gate, cols);
        device.ops().gated(act, y, device.mat(up, cols), y);
        return device.read(y);
      });
    }
  }
}

// The lanes' exp is seen through silu: x / (1 + exp(-x)) over all magnitudes, both ends of the clamp
// included.
TEST_P(OpsOnEveryTier, ElementaryFunctionsInLanesHaveTheBitsOfTheirScalarForms) {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 0x7F800000; bits += 0x7FFFF) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  for (float v = -90; v < 90; v += 0.0137F) x.push_back(v);
  for (const float edge : {87.0F, 88.0F, 0.0F, kInfinity, kNan}) {
    for (const float v : {edge, std::nextafter(edge, 100.0F), std::nextafter(edge, -100.0F)}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  const std::vector<float> ones(x.size(), 1.0F);
  for (const Activation act : kActivations) {
    std::vector<float> expected;
    for (const float v : x) expected.push_back(act == Activation::silu ? silu_f32(v) : gelu_tanh_f32(v));
    Device tested = device();
    EXPECT_TRUE(equal_bits(expected, gated(tested, act, x, ones, x.size())));
  }
}

TEST_P(OpsOnEveryTier, AddAndGatherHaveTheBitsOfTheReference) {
  Random random(4);
  for (const size_t cols : kWidths) {
    const std::vector<float> x = rows_of_all_kinds(random, cols);
    const std::vector<float> y = random_floats(random, x.size(), Values::mixed);
    expect_the_same([&](Device& device) {
      const Mat sum = device.mat(x, cols, 2);
      device.ops().add(sum, device.mat(y, cols));
      return device.read(sum);
    });
    expect_the_same([&](Device& device) {
      const Mat out = device.mat(5, cols, 1);
      device.ops().gather_rows(device.mat(x, cols, 4), device.upload(std::vector<uint32_t>{3, 0, 3, 6, 1}),
                               out);
      return device.read(out);
    });
  }
}

TEST_P(OpsOnEveryTier, RopeHasTheBitsOfTheReference) {
  Random random(5);
  for (const RopeStyle style : kStyles) {
    for (const uint32_t d_head : {16U, 64U, 80U, 128U, 256U}) {
      for (const uint32_t d_rotary : {d_head, d_head / 2, 6U}) {
        const std::vector<float> f =
            rope_frequencies({.style = style, .d_rotary = d_rotary, .base = 1e6F, .factors = {}});
        const std::vector<uint32_t> positions = {0, 1, 7, 511, 8191, 131071, 1000000};
        expect_the_same([&](Device& device) { return angles_of(device, positions, f); });
        const std::vector<float> x = random_floats(random, positions.size() * 3 * d_head);
        expect_the_same([&](Device& device) {
          const Mat y = device.mat(x, 3 * d_head, 5);
          device.ops().rope(style, device.mat(angles_of(device, positions, f), d_rotary), d_head, y);
          return device.read(y);
        });
      }
    }
  }
}

TEST_P(OpsOnEveryTier, StoreKvWritesTheBytesOfTheReference) {
  Random random(6);
  constexpr DType kCacheTypes[] = {DType::F32, DType::F16, DType::BF16};
  for (const RopeStyle style : kStyles) {
    for (const uint32_t d : {16U, 64U, 80U, 128U, 256U}) {
      for (const DType key_type : kCacheTypes) {
        const DType value_type = random.pick(std::span<const DType>(kCacheTypes));
        constexpr uint32_t kHeads = 3;
        constexpr uint32_t kPageTokens = 16;
        const size_t elements = size_t{kHeads} * d * kPageTokens;
        KvView kv = {.pages = nullptr,
                     .page_bytes = elements * 8 + 64,
                     .key_offset = 64,
                     .value_offset = 64 + elements * info_of(key_type).block_bytes,
                     .key_type = key_type,
                     .value_type = value_type,
                     .n_kv_heads = kHeads,
                     .d_head = d,
                     .page_tokens = kPageTokens,
                     .rope = {style, {}}};
        const std::vector<float> k = rows_of_all_kinds(random, kHeads * d);
        const std::vector<float> v = rows_of_all_kinds(random, kHeads * d);
        std::vector<KvSlot> slots;
        std::vector<uint32_t> positions;
        for (uint32_t r = 0; r < k.size() / (kHeads * d); ++r) {
          slots.push_back({r % 3, (5 * r) % kPageTokens});
          positions.push_back(1000 * r);
        }
        const std::vector<float> f = rope_frequencies({.style = style, .d_rotary = d, .factors = {}});
        expect_the_same([&](Device& device) {
          KvView cache = kv;
          cache.pages = device.make<std::byte>(3 * kv.page_bytes);
          device.ops().store_kv(device.mat(angles_of(device, positions, f), d), device.upload(positions),
                                device.mat(k, kHeads * d, 3), device.mat(v, kHeads * d, 1),
                                device.upload(slots), cache);
          return device.download(reinterpret_cast<uint16_t*>(cache.pages), 3 * kv.page_bytes / 2);
        });
      }
    }
  }
}

TEST_P(OpsOnEveryTier, MovedKeysAndValuesAreThoseOfTheReference) {
  Random random(9);
  constexpr uint32_t kHeads = 2;
  constexpr uint32_t kTokens = 16;
  constexpr size_t kLayers = 3;
  for (const auto& [key_type, value_type] : {std::pair{DType::F32, DType::F16}, {DType::BF16, DType::F32}}) {
    for (const uint32_t d : {8U, 64U}) {
      const size_t elements = size_t{kHeads} * d * kTokens;
      const size_t layer_bytes = elements * 8;
      KvView kv = {.pages = nullptr,
                   .page_bytes = kLayers * layer_bytes + 64,
                   .key_offset = 64,
                   .value_offset = 64 + elements * info_of(key_type).block_bytes,
                   .key_type = key_type,
                   .value_type = value_type,
                   .n_kv_heads = kHeads,
                   .d_head = d,
                   .page_tokens = kTokens,
                   .rope = {}};
      std::vector<uint16_t> bits;
      for (size_t i = 0; i < 3 * kv.page_bytes / 2; ++i)
        bits.push_back(static_cast<uint16_t>(random.below(65536)));
      // Downwards, the second onto where the first came from; one stays.
      const std::vector<KvSlot> from = {{0, 14}, {0, 15}, {1, 3}, {1, 5}, {2, 0}};
      const std::vector<KvSlot> to = {{0, 13}, {0, 14}, {0, 15}, {1, 0}, {2, 0}};
      const auto moved = [&](Device& device) {
        KvView cache = kv;
        uint16_t* pages = device.upload(bits);
        cache.pages = reinterpret_cast<std::byte*>(pages);
        device.backend().move_kv(cache, layer_bytes, kLayers, device.upload(from), device.upload(to),
                                 from.size());
        return device.download(pages, bits.size());
      };
      expect_the_same(moved);
      Device tested = device(1);
      EXPECT_NE(moved(tested), bits);
    }
  }
}

TEST_P(OpsOnEveryTier, LogSumExpAndArgmaxHaveTheBitsOfTheReference) {
  Random random(7);
  for (const size_t cols : kWidths) {
    std::vector<float> x = rows_of_all_kinds(random, cols);
    x.insert(x.end(), cols, kNan);
    x.insert(x.end(), cols, -kInfinity);
    x.insert(x.end(), cols, kInfinity);
    // A NaN in front of the largest, in its lane and in another.
    for (const size_t nan_at : {size_t{0}, cols / 2, cols - 1}) {
      std::vector<float> row = random_floats(random, cols);
      row[cols / 3] = 9;
      row[nan_at] = kNan;
      x.insert(x.end(), row.begin(), row.end());
    }
    // Few values, so the largest occurs often, as +0 and -0 too.
    for (size_t i = 0; i < 2 * cols; ++i) x.push_back(static_cast<float>(random.below(3)) - 2.0F);
    for (size_t i = 0; i < cols; ++i) x.push_back(random.below(2) == 0 ? 0.0F : -0.0F);
    expect_the_same([&](Device& device) { return log_sums(device, x, cols); });
    expect_the_same([&](Device& device) { return largest(device, x, cols); });
  }
}

TEST_P(OpsOnEveryTier, ARowDependsOnNothingButItself) {
  Random random(8);
  for (const size_t threads : {1, 2}) {
    for (const size_t cols : {100, 1100}) {
      Device tested = device(threads);
      const std::vector<float> gain = random_floats(random, cols);
      EXPECT_TRUE(
          rows_stand_alone([&](const std::vector<float>& x) { return norm(tested, x, gain); }, cols, random));
      for (const Activation act : kActivations) {
        EXPECT_TRUE(rows_stand_alone(
            [&](const std::vector<float>& x) { return gated(tested, act, x, x, cols); }, cols, random));
      }
      EXPECT_TRUE(rows_stand_alone(
          [&](const std::vector<float>& x) {
            std::vector<float> out;
            const std::vector<int32_t> ids = largest(tested, x, cols);
            const std::vector<double> sums = log_sums(tested, x, cols);
            for (size_t r = 0; r < ids.size(); ++r) {
              out.push_back(static_cast<float>(ids[r]));
              out.push_back(static_cast<float>(sums[r]));
            }
            return out;
          },
          cols, random));
    }
  }
}

// --- the reference against float64 ----------------------------------------------------------------------

TEST(OpsReference, RmsNormIsWithinRoundingOfFloat64) {
  Random random(9);
  for (const size_t cols : kWidths) {
    Device device(make_reference_backend());
    const std::vector<float> x = random_floats(random, 3 * cols, Values::spiky);
    const std::vector<float> gain = random_floats(random, cols);
    const std::vector<float> y = norm(device, x, gain);
    for (size_t r = 0; r < 3; ++r) {
      double squares = 0;
      for (size_t i = 0; i < cols; ++i) squares += double{x[r * cols + i]} * double{x[r * cols + i]};
      const double scale = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-5);
      // 64 additions in a lane, 4 folds, a block or two: half of them reaches the root.
      for (size_t i = 0; i < cols; ++i) {
        const double exact = double{x[r * cols + i]} * scale * double{gain[i]};
        ASSERT_NEAR(y[r * cols + i], exact, 45 * 0x1p-24 * std::abs(exact));
      }
    }
  }
}

TEST(OpsReference, GatedIsWithinRoundingOfFloat64) {
  Random random(10);
  Device device(make_reference_backend());
  std::vector<float> x;
  for (float v = -80; v < 80; v += 0.0173F) x.push_back(v);
  const std::vector<float> up = random_floats(random, x.size());
  const std::vector<float> silu = gated(device, Activation::silu, x, up, x.size());
  const std::vector<float> gelu = gated(device, Activation::gelu_tanh, x, up, x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = double{x[i]};
    const double exact_silu = v / (1 + std::exp(-v)) * double{up[i]};
    const double u = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
    const double exact_gelu = v / (1 + std::exp(-2 * u)) * double{up[i]};
    ASSERT_NEAR(silu[i], exact_silu, 4e-7 * std::abs(exact_silu) + 1e-36) << v;
    // The exponent's rounding error is 2u * 2^-23, and an error in the exponent is a relative one of the
    // result.
    ASSERT_NEAR(gelu[i], exact_gelu, (5e-7 + 4e-7 * std::abs(u)) * std::abs(exact_gelu) + 1e-35) << v;
  }
}

TEST(OpsReference, LogSumExpIsWithinRoundingOfFloat64AndNanStaysNan) {
  Random random(11);
  for (const size_t cols : kWidths) {
    Device device(make_reference_backend());
    std::vector<float> x = random_floats(random, cols, Values::spiky);
    double sum = 0;
    for (const float v : x) sum += std::exp(double{v});
    EXPECT_NEAR(log_sums(device, x, cols)[0], std::log(sum), 1e-5);
    x[cols / 2] = kNan;
    EXPECT_TRUE(std::isnan(log_sums(device, x, cols)[0])) << cols;
  }
}

TEST(OpsReference, ArgmaxTakesTheLowestIndexAndPassesOverNan) {
  Device device(make_reference_backend());
  EXPECT_EQ(largest(device, {1, 5, 5, 2}, 4)[0], 1);
  EXPECT_EQ(largest(device, {-0.0F, 0.0F, -1, -2}, 4)[0], 0);
  EXPECT_EQ(largest(device, {kNan, 5, 7, kNan}, 4)[0], 2);
  EXPECT_EQ(largest(device, {kNan, kNan, kNan, kNan}, 4)[0], 0);
  EXPECT_EQ(largest(device, {-kInfinity, -kInfinity, -kInfinity, -kInfinity}, 4)[0], 0);
}

TEST(OpsReference, RopeTurnsThePairsOfItsStyle) {
  Device device(make_reference_backend());
  const std::vector<float> f = {1.0F, 0.5F};
  for (const RopeStyle style : kStyles) {
    const Mat y = device.mat(std::vector<float>{1, 2, 3, 4, 5, 6}, 6);
    device.ops().rope(style, device.mat(angles_of(device, {3}, f), 4), 6, y);
    const std::vector<float> turned = device.read(y);
    const double c0 = std::cos(3.0), s0 = std::sin(3.0), c1 = std::cos(1.5), s1 = std::sin(1.5);
    const std::vector<double> expected =
        style == RopeStyle::halves
            ? std::vector<double>{c0 - 3 * s0, 2 * c1 - 4 * s1, 3 * c0 + s0, 4 * c1 + 2 * s1, 5, 6}
            : std::vector<double>{c0 - 2 * s0, 2 * c0 + s0, 3 * c1 - 4 * s1, 4 * c1 + 3 * s1, 5, 6};
    for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(turned[i], expected[i], 1e-6) << i;
  }
}

// --- checks ---------------------------------------------------------------------------------------------

TEST(OpsDeathTest, AShapeThatDoesNotFitAbortsWithBothSizes) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  Device device(make_reference_backend());
  const Ops ops = device.ops();
  const Mat x = device.mat(2, 64);
  const Mat y = device.mat(2, 48);
  const Linear linear = {.weight = {DType::F32, 48, 32, nullptr}, .bias = {}, .split = Split::none};
  EXPECT_DEATH(ops.linear(x, {{&linear, y}}), "linear: inputs: expected 32, found 64");
  EXPECT_DEATH(ops.rms_norm(x, {nullptr, 63}, 1e-5F, x), "rms_norm: gain: expected 64, found 63");
  EXPECT_DEATH(ops.add(x, y), "add: width: expected 64, found 48");
  EXPECT_DEATH(ops.gated(Activation::silu, x, x, y), "gated: output width: expected 64, found 48");
  EXPECT_DEATH(ops.embed(nullptr, linear.weight, 1, x), "embed: width: expected 32, found 64");
  EXPECT_DEATH(ops.gather_rows(x, nullptr, y), "gather_rows: width: expected 64, found 48");
  KvView kv;
  kv.n_kv_heads = 2;
  kv.d_head = 32;
  kv.page_tokens = 16;
  EXPECT_DEATH(ops.store_kv(x, nullptr, y, x, nullptr, kv), "store_kv: key width: expected 64, found 48");
  EXPECT_DEATH(ops.attend(x, kv, {}, 1, y), "attend: width: expected 64, found 48");
  EXPECT_DEATH(ops.attend(x, kv, {.n_partials = 3}, 1, x), "partials");
}

}  // namespace
}  // namespace headrace::ops_testing
