// The device side of a step: rows in, logits out. Owns the buffers of activations, inputs and outputs.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cache/state_store.h"
#include "core/trace.h"
#include "models/model.h"
#include "ops/ops.h"

namespace headrace {

struct StepRunnerOptions {
  uint32_t max_rows = 0;
  uint32_t max_outputs = 0;  // rows of logits at once
  ActivationNumerics activations = ActivationNumerics::int8;
  const std::atomic<bool>* interrupt = nullptr;
  Trace* trace = nullptr;
};

class StepRunner {
 public:
  /// `backend`, `model` and `ledger` must outlive it.
  static Result<StepRunner> create(Backend& backend, const Model& model, MemoryLedger& ledger,
                                   const StepRunnerOptions& options);

  uint32_t max_outputs() const { return options_.max_outputs; }
  /// Runs the layers over `rows`, those that `layers` has if it is given. The hidden states of those that
  /// have an output stay until the next run.
  void run(StateStore& store, std::span<const Row> rows,
           const std::function<void(size_t layer, ConstMat x)>* after_layer,
           const std::vector<bool>* layers = nullptr);
  /// The same over keys and values that are kept elsewhere: `plan` gives a GroupStep for each layer group.
  void run(const std::function<std::span<const GroupStep>()>& plan, std::span<const Row> rows,
           const std::function<void(size_t layer, ConstMat x)>* after_layer = nullptr,
           const std::vector<bool>* layers = nullptr);
  /// Projects outputs [first, first + count) of the last run; the answers below are about them.
  void project(size_t first, size_t count);

  /// The likeliest token of each.
  void argmax(std::span<int32_t> tokens);
  void log_sum_exp(std::span<double> sums);
  /// The k best of each of the first `rows`, best first (Backend::top_k); top_of() reads them.
  void top_k(size_t rows, uint32_t k);
  struct Best {
    std::span<const int32_t> ids;
    std::span<const float> values;
  };
  Best top_of(size_t index) const;
  /// One logit of output `index`.
  float logit(size_t index, int32_t token) const;
  /// All logits of output `index`, in host memory that lives until the next call; may be changed.
  std::span<float> logits(size_t index);

 private:
  Backend* backend_ = nullptr;
  const Model* model_ = nullptr;
  StepRunnerOptions options_;
  DeviceBuffer activations_;  // workspace, then hidden, then logits
  DeviceBuffer inputs_;       // tokens, positions, output rows
  DeviceBuffer answers_;      // log-sum-exp, argmax, the best
  size_t workspace_floats_ = 0;
  Mat hidden_;
  Mat logits_;
  Mat projected_;
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> positions_;
  std::vector<uint32_t> output_rows_;
  std::vector<float> host_logits_;
  uint32_t k_ = 0;
  std::vector<int32_t> best_ids_;
  std::vector<float> best_values_;
};

}  // namespace headrace
