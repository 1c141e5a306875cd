// What llama-batched-bench measures: prompts of several sequences, then their answers side by side.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench_report.h"
#include "core/result.h"
#include "engine/engine.h"

namespace headrace::cli {

/// One line of the table.
struct BatchedCase {
  uint32_t pp = 0;      // tokens of each prompt
  uint32_t tg = 0;      // tokens of each answer
  uint32_t pl = 0;      // sequences
  bool shared = false;  // they have one prompt, which is computed and kept once

  /// Tokens that all of them hold at the end.
  uint64_t kv_tokens() const;
  /// The same in whole pages, which no two sequences fill together.
  uint64_t kv_tokens_in_pages(uint32_t page_tokens) const;
  uint32_t context() const { return pp + tg + 1; }
};

struct BatchedResult {
  BatchedCase batched;
  double pp_seconds = 0;
  double tg_seconds = 0;

  double speed_pp() const;  // tokens a second; a shared prompt counts once
  double speed_tg() const;
  double seconds() const { return pp_seconds + tg_seconds; }
  double speed() const;
};

struct BatchedSettings {
  uint64_t n_kv_max = 0;
  uint32_t n_batch = 0;
  uint32_t n_ubatch = 0;
  uint32_t n_threads = 0;
  bool shared = false;
};

/// Those that have the fewest tokens go first. With prompts of one length all are read before an answer
/// begins, and then the answers grow together, so that the two can be timed apart.
class Lockstep final : public AdmissionPolicy {
 public:
  std::string_view name() const override { return "lockstep"; }
  using AdmissionPolicy::plan;
  void plan(const Snapshot& now, StepPlan& plan) const override;

 private:
  ContinuousBatching base_;
};

/// Runs a case on an engine that has room for it, `Lockstep` for its policy, and nothing else to do. Fails
/// with cancelled when the user interrupts.
Result<BatchedResult> measure_batched(Engine& engine, const BatchedCase& batched);

std::string batched_header(const BatchedSettings& settings);
std::string batched_line(const BatchedResult& result);
std::string batched_json(const BenchFacts& facts, const BatchedSettings& settings,
                         const BatchedResult& result);

}  // namespace headrace::cli
