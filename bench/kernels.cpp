// Claim: kernels run near the machine's limits. Google Benchmark over single ops of the tier at hand.
//
//   bench_kernels [--benchmark_filter=REGEX ...]    HEADRACE_CPU=avx2 takes another tier, THREADS=N more
//   threads
//
// linear/TYPE/M: y = x W^T with M rows, W 2048 x 2048; GOP/s counts a multiply-add as two operations, GB/s
// the bytes of W that are read once. cold/: W comes from memory. machine/BF16/M, cold_machine/BF16/M: the
// same in level `machine`. attend/ROWS/CONTEXT: 32 heads on 8 key heads of 64, cache f16.
#include <benchmark/benchmark.h>

#include "ops/testing/attention.h"
#include "world.h"

namespace headrace::bench {
namespace {

using ops_testing::Device;
using ops_testing::Random;

constexpr uint32_t kMostRows = 512;

std::unique_ptr<Backend> backend(Numerics numerics = Numerics::exact) {
  const char* threads = std::getenv("THREADS");
  auto made =
      best_backend(threads == nullptr ? 1 : static_cast<size_t>(std::max(1, std::atoi(threads))), numerics);
  if (made) return std::move(*made);
  fmt::print(stderr, "bench_kernels: {}\n", made.error().message);
  std::exit(1);
}

// `copies` of W take turns: one stays in the caches, many come from memory each time.
void linear(benchmark::State& state, DType type, size_t rows, uint32_t n, uint32_t k, size_t copies,
            Numerics numerics = Numerics::exact) {
  Device device(backend(numerics));
  MemoryLedger ledger(uint64_t{1} << 40);
  const Status prepared = device.backend().prepare(ledger, {kMostRows, k, 128});
  HEADRACE_CHECK(static_cast<bool>(prepared));
  Random random(1);
  const auto weights = ops_testing::random_weights(random, type, n, k);
  std::vector<Linear> w(copies);
  for (Linear& linear : w) linear.weight = device.weight(type, n, k, weights);
  const Mat x = device.mat(ops_testing::random_floats(random, rows * k), k);
  const Mat y = device.mat(rows, n);
  size_t next = 0;
  for (auto _ : state) {
    device.ops().linear(x, {{&w[next], y}});
    next = (next + 1) % copies;
  }
  const auto count = static_cast<double>(state.iterations());
  const double products = static_cast<double>(rows) * n * k;
  const auto bytes = static_cast<double>(device.backend().packed_bytes(type, n, k));
  state.counters["GOP/s"] = benchmark::Counter(2 * products * count / 1e9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(bytes * count / 1e9, benchmark::Counter::kIsRate);
}

void attend(benchmark::State& state, size_t rows, uint32_t context) {
  Device device(backend());
  MemoryLedger ledger(uint64_t{1} << 40);
  const Status prepared = device.backend().prepare(ledger, {kMostRows, 2048, 128});
  HEADRACE_CHECK(static_cast<bool>(prepared));
  const ops_testing::AttentionShape shape = {
      .n_kv_heads = 8, .group = 4, .d_head = 64, .key_type = DType::F16, .value_type = DType::F16};
  Random random(1);
  const ops_testing::Layout layout = ops_testing::chain_layout(0, context, 64);
  const auto keys = ops_testing::random_floats(random, size_t{context} * shape.kv_width());
  const KvView cache = ops_testing::make_cache(device, shape, layout, keys, keys);
  std::vector<ops_testing::Visible> visible;
  for (size_t r = 0; r < rows; ++r) {
    visible.push_back({0, static_cast<uint32_t>(context - rows + r + 1)});
  }
  const ops_testing::Plan plan =
      ops_testing::whole_plan(layout, visible, static_cast<uint32_t>(std::min<size_t>(rows, 16)));
  const AttentionPlan uploaded = plan.upload(device, nullptr);
  const Mat q = device.mat(ops_testing::random_floats(random, rows * shape.q_width()), shape.q_width());
  const Mat out = device.mat(rows, shape.q_width());
  double pairs = 0;
  for (const ops_testing::Visible& row : visible) pairs += row.end - row.begin;
  for (auto _ : state) device.ops().attend(q, cache, uploaded, shape.scale(), out);
  const auto count = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] =
      benchmark::Counter(4 * pairs * shape.q_width() * count / 1e9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] =
      benchmark::Counter(4.0 * context * shape.kv_width() * count / 1e9, benchmark::Counter::kIsRate);
}

void add_all() {
  for (const DType type : {DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q8_0, DType::Q4_K, DType::Q5_K,
                           DType::Q6_K, DType::BF16, DType::F16, DType::F32}) {
    for (const size_t rows : {1, 2, 4, 8, 16, 32, 512}) {
      const std::string of = fmt::format("{}/{}", info_of(type).name, rows);
      benchmark::RegisterBenchmark(("linear/" + of).c_str(), [=](benchmark::State& state) {
        linear(state, type, rows, 2048, 2048, 1);
      })->UseRealTime();
      benchmark::RegisterBenchmark(("cold/" + of).c_str(), [=](benchmark::State& state) {
        linear(state, type, rows, 2048, 2048, 60);
      })->UseRealTime();
      if (type != DType::BF16) continue;
      benchmark::RegisterBenchmark(("machine/" + of).c_str(), [=](benchmark::State& state) {
        linear(state, type, rows, 2048, 2048, 1, Numerics::machine);
      })->UseRealTime();
      benchmark::RegisterBenchmark(("cold_machine/" + of).c_str(), [=](benchmark::State& state) {
        linear(state, type, rows, 2048, 2048, 60, Numerics::machine);
      })->UseRealTime();
    }
  }
  for (const auto& [rows, context] : {std::pair{1, 512}, {1, 4096}, {512, 512}, {512, 4096}}) {
    benchmark::RegisterBenchmark(fmt::format("attend/{}/{}", rows, context).c_str(),
                                 [=](benchmark::State& state) {
                                   attend(state, static_cast<size_t>(rows), static_cast<uint32_t>(context));
                                 })
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  headrace::bench::add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
