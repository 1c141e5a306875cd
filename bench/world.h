// What the benchmarks share: an engine on a model file, the machine's read stream, statistics.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/file.h"
#include "core/system_memory.h"
#include "core/threads.h"
#include "engine/engine.h"
#include "ops/cpu/cpu_backend.h"

namespace headrace::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Bytes per second of reading a buffer far larger than the caches, best of five.
inline double read_stream(size_t threads) {
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

inline Rate rate_of(const std::vector<double>& values) {
  Rate rate;
  for (const double v : values) rate.mean += v / static_cast<double>(values.size());
  for (const double v : values) rate.deviation += (v - rate.mean) * (v - rate.mean);
  rate.deviation = values.size() > 1 ? std::sqrt(rate.deviation / static_cast<double>(values.size() - 1)) : 0;
  return rate;
}

struct World {
  std::unique_ptr<MemoryLedger> ledger;
  std::unique_ptr<Engine> engine;
};

inline Result<std::unique_ptr<Backend>> best_backend(size_t threads) {
  const char* forced = std::getenv("HEADRACE_CPU");
  HEADRACE_TRY(const cpu::Tier tier, cpu::choose_tier(forced == nullptr ? "" : forced));
  return make_cpu_backend(tier, threads);
}

inline Result<World> open(const char* path, std::unique_ptr<Backend> backend, const EngineOptions& options) {
  World world;
  world.ledger = std::make_unique<MemoryLedger>(available_memory_bytes());
  HEADRACE_TRY(const ModelFile file, ModelFile::open(path));
  HEADRACE_TRY(auto model, load_model(file, *backend, *world.ledger));
  HEADRACE_TRY(world.engine, Engine::create(std::move(backend), std::move(model), *world.ledger, options));
  return world;
}

// Tokens that no tokenizer would write, but every model computes; other texts for other seeds.
inline std::vector<int32_t> text(const Engine& engine, size_t tokens, uint32_t seed) {
  const uint32_t vocab = engine.model().info().vocab_size;
  std::vector<int32_t> out;
  for (size_t i = 0; i < tokens; ++i) {
    out.push_back(static_cast<int32_t>((100 + 7919 * i + uint64_t{seed} * 104729 * (i + 1)) % vocab));
  }
  return out;
}

inline size_t threads_from(int argc, char** argv, int index) {
  return argc > index ? static_cast<size_t>(std::max(1, std::atoi(argv[index]))) : default_thread_count();
}

inline int finish(const char* program, const Status& status) {
  if (status) return 0;
  fmt::print(stderr, "{}: {}\n", program, status.error().message);
  return 1;
}

}  // namespace headrace::bench
