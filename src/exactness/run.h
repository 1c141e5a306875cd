// Runs probes of exactness.h on an engine: alone, and in trials.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "exactness/probe.h"
#include "exactness/trial.h"

namespace headrace::exactness {

/// What occurred in a trial, as far as it concerned the probe.
struct Facts {
  uint32_t row_buckets = 0;    // a bit for each bucket of exactness_tally.h that a step fell into
  uint32_t chunk_buckets = 0;  // of prompts
  uint32_t most_running = 0;   // choices at once, the probe with them
  uint32_t reused = 0;         // tokens of its prompt
  uint32_t preemptions = 0;
  uint64_t drafted = 0;    // tokens that were checked
  uint64_t accepted = 0;   // of those
  bool in_pieces = false;  // no step ran all that was to be computed of the prompt
  bool retired = false;    // pages left the window
  uint64_t tokens = 0;     // compared
  uint64_t layer_rows = 0;
};

struct TrialResult {
  Facts facts;
  std::optional<ExactnessDifference> difference;
};

/// Answers `request` alone: cold, in chunks as large as a step takes, in one thread.
Result<Baseline> answer_alone(Engine& engine, ProbeObserver& observer, const Request& request,
                              const ModelShape& shape, const std::atomic<bool>* cancel);

/// Fails with cancelled, with mismatch if the engine doesn't come to rest (it can't be used again), or as
/// submit() does.
Result<TrialResult> run_trial(Engine& engine, ProbeObserver& observer, const Trial& trial, const Probe& probe,
                              const Baseline& baseline, const ModelShape& shape,
                              const std::atomic<bool>* cancel);

/// Whether the first layer sees exactly the window: which tokens a hidden state depends on is measured by
/// changing them. A wrong window that is the same in every trial can't be found by comparing trials.
struct WindowCheck {
  bool checked = false;  // not if the first layer sees everything, or the window is too large
  std::optional<ExactnessDifference> difference;
};
Result<WindowCheck> check_window(Engine& engine, ProbeObserver& observer, const ExactnessOptions& options,
                                 const ModelShape& shape);

}  // namespace headrace::exactness
