// Claim: decode runs at a large share of the memory's read stream; prefill is bound by compute.
//
//   bench_speed MODEL.gguf [THREADS [REPETITIONS]]
//
// Prints, as one JSON object: pp512 (a prompt of 512 tokens), tg128 (128 greedy tokens after one), tokens per
// second, mean and standard deviation; the read stream of this machine, measured in the same run; and the
// share of it that tg128 reaches (bytes of weights a token reads, times tokens per second). Load time apart.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/system_memory.h"
#include "core/threads.h"
#include "engine/engine.h"
#include "ops/cpu/cpu_backend.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Bytes per second of reading a buffer far larger than the caches, best of five.
double read_stream(size_t threads) {
  constexpr size_t kWords = size_t{1} << 27;  // 1 GiB
  std::vector<uint64_t> buffer(kWords, 1);
  ThreadPool pool(threads);
  std::vector<uint64_t> sums(64 * threads);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const Clock::time_point begin = Clock::now();
    pool.parallel_for(64 * threads, [&](size_t part, size_t) {
      const size_t words = kWords / (64 * threads);
      uint64_t lanes[8] = {};
      for (size_t i = part * words; i < (part + 1) * words; i += 8) {
        for (size_t j = 0; j < 8; ++j) lanes[j] += buffer[i + j];
      }
      for (const uint64_t lane : lanes) sums[part] += lane;
    });
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / seconds_since(begin));
  }
  return best;
}

struct Rate {
  double mean = 0;
  double deviation = 0;
};

Rate rate_of(const std::vector<double>& values) {
  Rate rate;
  for (const double v : values) rate.mean += v / static_cast<double>(values.size());
  for (const double v : values) rate.deviation += (v - rate.mean) * (v - rate.mean);
  rate.deviation = values.size() > 1 ? std::sqrt(rate.deviation / static_cast<double>(values.size() - 1)) : 0;
  return rate;
}

double tokens_per_second(Engine& engine, size_t prompt_tokens, uint32_t new_tokens) {
  Request request;
  const uint32_t vocab = engine.model().info().vocab_size;
  for (size_t i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(static_cast<int32_t>((100 + 7919 * i) % vocab));
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0;
  const Clock::time_point begin = Clock::now();
  (void)engine.submit(request).value();
  std::vector<Event> events;
  while (!engine.idle()) engine.step(events);
  return static_cast<double>(std::max<size_t>(new_tokens, prompt_tokens)) / seconds_since(begin);
}

Status bench(const char* path, size_t threads, int repetitions) {
  const double stream = read_stream(threads);
  const Clock::time_point begin = Clock::now();
  MemoryLedger ledger(available_memory_bytes());
  HEADRACE_TRY(const cpu::Tier tier,
               cpu::choose_tier(std::getenv("HEADRACE_CPU") == nullptr ? "" : std::getenv("HEADRACE_CPU")));
  auto backend = make_cpu_backend(tier, threads);
  HEADRACE_TRY(const ModelFile file, ModelFile::open(path));
  HEADRACE_TRY(auto model, load_model(file, *backend, ledger));
  const ModelInfo info = model->info();
  HEADRACE_TRY(auto engine, Engine::create(std::move(backend), std::move(model), ledger, {.context = 1024}));
  const double load = seconds_since(begin);
  (void)tokens_per_second(*engine, 16, 1);  // warm-up
  std::vector<double> prefill;
  std::vector<double> decode;
  for (int i = 0; i < repetitions; ++i) {
    prefill.push_back(tokens_per_second(*engine, 512, 0));
    decode.push_back(tokens_per_second(*engine, 1, 128));
  }
  const Rate pp = rate_of(prefill);
  const Rate tg = rate_of(decode);
  fmt::print(
      "{{\"model\": \"{}\", \"weight_bytes\": {}, \"backend\": \"{}\", \"numerics\": \"exact\", \"threads\": "
      "{}, "
      "\"load_s\": {:.3f}, \"pp512\": {:.1f}, \"pp512_sd\": {:.1f}, \"tg128\": {:.1f}, \"tg128_sd\": {:.1f}, "
      "\"read_stream_gb_s\": {:.2f}, \"tg128_share_of_stream\": {:.2f}}}\n",
      printable(path), info.weight_bytes, engine->backend().name(), threads, load, pp.mean, pp.deviation,
      tg.mean, tg.deviation, stream / 1e9, static_cast<double>(info.weight_bytes) * tg.mean / stream);
  return {};
}

}  // namespace
}  // namespace headrace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_speed MODEL.gguf [THREADS [REPETITIONS]]\n");
    return 2;
  }
  const size_t threads =
      argc > 2 ? static_cast<size_t>(std::max(1, std::atoi(argv[2]))) : headrace::default_thread_count();
  const int repetitions = argc > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  const headrace::Status status = headrace::bench(argv[1], threads, repetitions);
  if (status) return 0;
  fmt::print(stderr, "bench_speed: {}\n", status.error().message);
  return 1;
}
