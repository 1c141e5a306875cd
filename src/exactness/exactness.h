// Does this engine keep its promise, with this model and these prompts? Requests ("probes") are answered
// alone, then again in trials: among neighbours, in chunks, from the cache, preempted, with other threads
// and kernels. Every token, log-probability and hidden state must have the same bits (docs/exactness.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "engine/engine.h"

namespace headrace {

/// Kernels to compare.
struct ExactnessTier {
  std::string name;
  bool slow = false;  // gets few trials with few neighbours
};

struct ExactnessOptions {
  uint32_t trials = 200;
  uint64_t seed = 1;
  std::optional<uint32_t> only = {};      // this trial alone, whatever `trials` is
  uint32_t threads = 2;                   // of trials at most, 2 or more; alone a probe has one
  std::vector<ExactnessTier> tiers = {};  // at least one; the first gives the answers to compare with
  std::vector<int32_t> text = {};         // prompts are cut from it; empty: random tokens
  std::vector<int32_t> tokens = {};       // that random prompts are made of; empty: all of the vocabulary
  std::optional<int32_t> bos = {};        // begins a prompt
  EngineOptions engine = {};              // types of the cache and activations, drafts; the rest is chosen
  uint32_t recall =
      0;  // drafts of up to so many tokens from what probes were answered, some of it wrong; 0: none
  std::function<void(uint32_t done, uint32_t total)> progress = {};  // in trials; may be empty
  /// May be null. Once it is true, run() ends with cancelled. It must outlive the engines.
  const std::atomic<bool>* cancel = nullptr;
};

/// A promise that was broken.
struct ExactnessDifference {
  uint32_t trial = 0;
  uint64_t trial_seed = 0;
  std::string configuration;      // of the trial, in words
  std::string kind;               // "layer", "answer", "events", "books", "window"
  uint32_t position = 0;          // the first that differs; for "layer" and "answer"
  std::optional<uint32_t> layer;  // the first that differs at this position
  std::string what;               // in words
};

/// In how many trials something occurred. The buckets of one histogram may overlap.
struct ExactnessBucket {
  std::string label;
  uint32_t trials = 0;
};
struct ExactnessHistogram {
  std::string title;
  std::vector<ExactnessBucket> buckets;
};
struct ExactnessPair {
  std::string first;
  std::string second;
  uint32_t trials = 0;
};

struct ExactnessReport {
  uint32_t trials = 0;        // that ran
  std::string configuration;  // of a trial that ran alone, in words
  uint32_t probes = 0;
  uint32_t n_different = 0;                      // trials
  std::vector<ExactnessDifference> differences;  // the first kMaxDifferences
  bool stopped = false;                          // after so many: the rest did not run
  uint64_t tokens_compared = 0;
  uint64_t layer_rows_compared = 0;  // hidden states, one a row and layer
  std::vector<ExactnessHistogram> histograms;
  std::vector<ExactnessPair> pairs;
  uint32_t pair_minimum = 0;           // trials that each pair should have
  std::vector<std::string> uncovered;  // what did not occur often enough, in words
  std::vector<std::string> remarks;    // what this model leaves out, in words
  uint64_t digest = 0;                 // of the probes' answers alone: the same on every machine
};

/// After so many differences run() stops: one is enough to know, the others help to see a pattern.
inline constexpr size_t kMaxDifferences = 20;

/// One check from beginning to end. Engines are used one after the other, so that a model needs to be in
/// memory only once.
class Exactness {
 public:
  explicit Exactness(ExactnessOptions options);
  ~Exactness();
  Exactness(const Exactness&) = delete;
  Exactness& operator=(const Exactness&) = delete;

  /// What an engine for run() is to be created with; it refers to this object.
  EngineOptions engine_options(const Model& model);

  /// Whether run() has something to do for this tier: with `only`, few have.
  bool uses(size_t tier) const;

  /// Runs the trials of a tier; the first tier must come first. Fails with usage for an engine that was made
  /// otherwise or has another model, with cancelled. A difference is no failure but goes into the report.
  Status run(size_t tier, Engine& engine);

  ExactnessReport report() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headrace
