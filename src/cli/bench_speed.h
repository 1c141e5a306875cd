// What llama-bench measures, measured in the same way: how fast prompts are read and tokens generated, one
// sequence at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "engine/engine.h"

namespace headrace::cli {

/// One line of the table. With a prompt and an answer the two are timed together.
struct SpeedTest {
  uint32_t n_prompt = 0;  // tokens read
  uint32_t n_gen = 0;     // tokens generated, a step each
  uint32_t n_depth = 0;   // tokens in the cache before the clock starts
  uint32_t n_batch = 2048;
  uint32_t n_ubatch = 512;
  uint32_t n_threads = 1;

  /// "pp512", "tg128 @ d4096", "pp512+tg128".
  std::string name() const;
  /// Tokens that a sequence of this test holds at most.
  uint64_t context() const { return uint64_t{n_depth} + n_prompt + n_gen + 1; }
  /// Of a step. n_batch tokens would be queued at once and run n_ubatch at a time.
  uint32_t rows() const;
};

struct SpeedResult {
  SpeedTest test;
  std::string test_time;             // its beginning: "2026-01-31T12:00:00Z"
  std::vector<uint64_t> samples_ns;  // a repetition each

  std::vector<double> samples_ts() const;  // tokens a second
};

double mean_of(const std::vector<double>& values);
/// Of the sample: n - 1 in the denominator; 0 for less than two.
double deviation_of(const std::vector<double>& values);

struct SpeedOptions {
  uint32_t repetitions = 5;
  bool warm_up = true;
  std::optional<int32_t> bos = {};                       // what prompts begin with; none: any token
  std::function<void(const std::string&)> on_news = {};  // "warm-up", "repetition 1/5"
};

/// Runs a test on an engine whose context suffices for it and that has nothing else to do. `result` gets
/// every repetition that was completed, also when the user interrupts (cancelled).
Status measure_speed(Engine& engine, const SpeedTest& test, const SpeedOptions& options, SpeedResult& result);

/// Tokens that no tokenizer would write, but every model computes; other texts for other seeds.
std::vector<int32_t> tokens_for_bench(const Engine& engine, std::optional<int32_t> bos, size_t count,
                                      uint32_t seed);

}  // namespace headrace::cli
