// What the benchmarks share: an engine on a model file, a clock, made-up prompts.
#pragma once

#include <chrono>
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

struct World {
  std::unique_ptr<MemoryLedger> ledger;
  std::unique_ptr<Engine> engine;
};

inline Result<std::unique_ptr<Backend>> best_backend(size_t threads, Numerics numerics = Numerics::exact) {
  const char* forced = std::getenv("HEADRACE_CPU");
  HEADRACE_TRY(const cpu::Tier tier, cpu::choose_tier(forced == nullptr ? "" : forced));
  return make_cpu_backend(tier, threads, numerics);
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
