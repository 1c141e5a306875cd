// What the two benchmarks of `headrace bench` share: their flags, and a machine that has been measured with a
// model on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench_list.h"
#include "cli/bench_report.h"
#include "cli/open_model.h"
#include "cli/options.h"

namespace headrace::cli {

inline constexpr uint32_t kDefaultBatch = 2048;
inline constexpr uint32_t kDefaultUbatch = 512;
/// Lines of a table.
inline constexpr size_t kMaxTests = 4096;

struct BenchFlags {
  ModelFlags model;
  EngineFlags engine;
  std::vector<uint32_t> n_prompt = {512};
  std::vector<uint32_t> n_gen = {128};
  std::vector<PromptAndAnswer> n_pg;
  std::vector<uint32_t> n_depth = {0};
  std::vector<uint32_t> n_batch = {kDefaultBatch};
  std::vector<uint32_t> n_ubatch = {kDefaultUbatch};
  std::vector<uint32_t> n_threads = {0};
  uint32_t repetitions = 5;
  uint32_t delay = 0;
  std::string output = "md";
  bool batched = false;
  std::vector<uint32_t> n_pp = {128};
  std::vector<uint32_t> n_tg = {128};
  std::vector<uint32_t> n_pl = {1, 2, 4, 8};
  bool pp_shared = false;
  uint32_t kv_tokens = 0;
  std::vector<uint32_t> n_parallel = {1};
  std::string prompts;                  // a file: drafts against plain decoding
  std::vector<std::string> categories;  // of those; empty: all
  std::vector<std::string> schedules;   // to be compared
  uint32_t most_prompts = 0;            // of a category; 0: all
  uint32_t prompt_context = 2048;
  float temperature = 0;
  std::string trace;  // a file
  bool no_ceilings = false;
  bool progress = false;
};

struct BenchWorld {
  BenchFacts facts;
  OpenModel model;
};

/// Measures the machine, then loads the model. `engine` is made for the tests.
Result<BenchWorld> open_bench(const BenchFlags& flags, const EngineFlags& engine);

/// Waits for --delay; Ctrl-C ends it.
void cool_off(const BenchFlags& flags);

/// The benchmarks, from flags to table. What was measured is printed, whatever ends them.
Status bench_speed(const BenchFlags& flags);
Status bench_batched(const BenchFlags& flags);
Status bench_drafts(const BenchFlags& flags);
Status bench_schedules(const BenchFlags& flags);

}  // namespace headrace::cli
