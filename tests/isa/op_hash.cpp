// A fixed suite of every op, as one line of hash per op: equal on every machine (compare.sh).
#include <cstdio>
#include <string>

#include "ops/testing/attention.h"
#include "ops/testing/bits.h"
#include "ops/testing/device.h"
#include "ops/testing/random.h"
#include "program_backend.h"

namespace headrace::isa {
namespace {

using ops_testing::AttentionShape;
using ops_testing::Device;
using ops_testing::Random;
using ops_testing::Values;
using ops_testing::Visible;

constexpr size_t kRows = 5;  // whole tiles and a rest

class Suite {
 public:
  template <typename T>
  void add(const std::string& name, const std::vector<T>& results) {
    const uint64_t hash = ops_testing::fnv(std::span<const T>(results));
    total_ = ops_testing::fnv(std::span<const uint64_t>(&hash, 1), total_);
    fmt::print("{:32} {:016x}\n", name, hash);
  }
  void finish() const { fmt::print("{:32} {:016x}\n", "total", total_); }

 private:
  uint64_t total_ = ops_testing::kFnvStart;
};

void linears(Device& device, Suite& suite) {
  Random random(1);
  for (size_t i = 0; i < kDTypes; ++i) {
    const auto type = static_cast<DType>(i);
    const uint32_t k = info_of(type).block_elements == 256 ? 768 : 608;
    const uint32_t n = 37;
    const Linear linear = {.weight = device.weight(type, n, k, random_weights(random, type, n, k)),
                           .bias = device.vec(random_floats(random, n)),
                           .split = Split::none};
    const Mat x = device.mat(random_floats(random, kRows * k, Values::mixed), k);
    for (const ActivationNumerics numerics : {ActivationNumerics::int8, ActivationNumerics::f32}) {
      const Mat y = device.mat(kRows, n);
      device.ops(numerics).linear(x, {{&linear, y}});
      const char* activations = numerics == ActivationNumerics::int8 ? "int8" : "f32";
      suite.add(fmt::format("linear {} {}", name_of(type), activations), device.read(y));
    }
    const Mat rows = device.mat(2, k);
    device.ops().embed(device.upload(std::vector<int32_t>{36, 3}), linear.weight, 3.0F, rows);
    suite.add(fmt::format("embed {}", name_of(type)), device.read(rows));
  }
}

void rows(Device& device, Suite& suite) {
  Random random(2);
  constexpr size_t kCols = 1100;
  const std::vector<float> values = random_floats(random, kRows * kCols, Values::mixed);
  const Mat x = device.mat(values, kCols);
  const Mat other = device.mat(random_floats(random, kRows * kCols, Values::spiky), kCols);
  const Mat y = device.mat(kRows, kCols);
  const Ops ops = device.ops();
  ops.rms_norm(other, device.vec(random_floats(random, kCols)), 1e-5F, y);
  suite.add("rms_norm", device.read(y));
  ops.gated(Activation::silu, other, x, y);
  suite.add("silu", device.read(y));
  ops.gated(Activation::gelu_tanh, other, x, y);
  suite.add("gelu_tanh", device.read(y));
  ops.gather_rows(x, device.upload(std::vector<uint32_t>{4, 0, 0, 2, 1}), y);
  ops.add(y, other);
  suite.add("gather_rows, add", device.read(y));
  double* sums = device.make<double>(kRows);
  ops.log_sum_exp(other, sums);
  suite.add("log_sum_exp", device.download(sums, kRows));
  int32_t* best = device.make<int32_t>(kRows);
  ops.argmax(other, best);
  suite.add("argmax", device.download(best, kRows));
  constexpr uint32_t kBest = 40;
  int32_t* ids = device.make<int32_t>(kRows * kBest);
  float* logits = device.make<float>(kRows * kBest);
  ops.top_k(other, kBest, ids, logits);
  suite.add("top_k", device.download(ids, kRows * kBest));
  suite.add("top_k, values", device.download(logits, kRows * kBest));
}

void ropes(Device& device, Suite& suite) {
  Random random(3);
  for (const RopeStyle style : {RopeStyle::halves, RopeStyle::interleaved}) {
    const std::vector<float> f =
        rope_frequencies({.style = style, .d_rotary = 80, .base = 1e6F, .factors = {}});
    const Mat angles = device.mat(kRows, 80);
    device.ops().rope_angles(device.upload(std::vector<uint32_t>{0, 1, 77, 8191, 1000000}), device.vec(f),
                             angles);
    const Mat x = device.mat(random_floats(random, kRows * 2 * 96), 2 * 96);
    device.ops().rope(style, angles, 96, x);
    const char* name = style == RopeStyle::halves ? "halves" : "interleaved";
    suite.add(fmt::format("rope_angles, {}", name), device.read(angles));
    suite.add(fmt::format("rope, {}", name), device.read(x));
  }
}

void attention(Device& device, Suite& suite) {
  Random random(4);
  constexpr uint32_t kKeys = 1100;  // three splits
  for (const DType key_type : {DType::F32, DType::F16, DType::BF16}) {
    for (const DType value_type : {DType::F32, DType::F16, DType::BF16}) {
      const AttentionShape shape = {
          .n_kv_heads = 2, .group = 3, .d_head = 40, .key_type = key_type, .value_type = value_type};
      const std::vector<float> keys = random_floats(random, size_t{kKeys} * shape.kv_width());
      const std::vector<float> values = random_floats(random, size_t{kKeys} * shape.kv_width());
      const std::vector<float> queries = random_floats(random, 3 * shape.q_width());
      const std::vector<Visible> visible = {{0, kKeys}, {700, 1000}, {3, 64}};
      const ops_testing::Layout layout = scattered_layout(random, 0, kKeys, 64, 40);
      const KvView cache = make_cache(device, shape, layout, keys, values);
      const std::string types = fmt::format("{} {}", name_of(key_type), name_of(value_type));
      suite.add("attend " + types, attend(device, shape, cache, whole_plan(layout, visible, 3), queries));
      suite.add("attend, reduce " + types,
                attend(device, shape, cache, split_plan(random, layout, visible, 3, 1), queries));
    }
  }
}

}  // namespace
}  // namespace headrace::isa

int main() {
  headrace::ops_testing::Device device(headrace::isa::program_backend());
  headrace::isa::Suite suite;
  headrace::isa::linears(device, suite);
  headrace::isa::rows(device, suite);
  headrace::isa::ropes(device, suite);
  headrace::isa::attention(device, suite);
  suite.finish();
}
