#include "engine/step_runner.h"

#include <algorithm>
#include <optional>

namespace headrace {

Result<StepRunner> StepRunner::create(Backend& backend, const Model& model, MemoryLedger& ledger,
                                      const StepRunnerOptions& options) {
  const ModelInfo& info = model.info();
  const uint32_t rows = options.max_rows;
  const uint32_t outputs = options.max_outputs;
  StepRunner runner;
  runner.backend_ = &backend;
  runner.model_ = &model;
  runner.options_ = options;
  runner.workspace_floats_ = model.workspace_floats(rows);
  const uint32_t max_k = std::max({info.d_model, info.d_ff, info.n_heads * info.d_head});
  HEADRACE_RETURN_IF_ERROR(backend.prepare(ledger, {rows, max_k, info.d_head}));
  const size_t hidden_floats = size_t{rows} * info.d_model;
  const size_t logit_floats = size_t{outputs} * info.vocab_size;
  HEADRACE_TRY(runner.activations_,
               backend.allocate(ledger, MemoryUse::activations,
                                (runner.workspace_floats_ + hidden_floats + logit_floats) * sizeof(float),
                                "activations", "fewer rows a step (-b) would help"));
  HEADRACE_TRY(runner.inputs_,
               backend.allocate(ledger, MemoryUse::activations, rows * 3 * sizeof(uint32_t), "step inputs"));
  HEADRACE_TRY(runner.answers_, backend.allocate(ledger, MemoryUse::activations,
                                                 outputs * (sizeof(double) + sizeof(int32_t) +
                                                            kMaxTopK * (sizeof(int32_t) + sizeof(float))),
                                                 "step outputs"));
  float* floats = runner.activations_.as<float>();
  runner.hidden_ = {floats + runner.workspace_floats_, rows, info.d_model, info.d_model};
  runner.logits_ = {floats + runner.workspace_floats_ + hidden_floats, outputs, info.vocab_size,
                    info.vocab_size};
  runner.tokens_.reserve(rows);
  runner.positions_.reserve(rows);
  runner.output_rows_.reserve(rows);
  runner.host_logits_.reserve(info.vocab_size);
  runner.best_ids_.reserve(outputs * kMaxTopK);
  runner.best_values_.reserve(outputs * kMaxTopK);
  return runner;
}

void StepRunner::run(StateStore& store, std::span<const Row> rows,
                     const std::function<void(size_t layer, ConstMat x)>* after_layer,
                     const std::vector<bool>* layers) {
  run([&] { return store.plan(rows); }, rows, after_layer, layers);
}

void StepRunner::run(const std::function<std::span<const GroupStep>()>& plan, std::span<const Row> rows,
                     const std::function<void(size_t layer, ConstMat x)>* after_layer,
                     const std::vector<bool>* layers) {
  std::optional<TraceSpan> phase(std::in_place, options_.trace, TraceKind::phase, "plan");
  tokens_.clear();
  positions_.clear();
  output_rows_.clear();
  for (const Row& row : rows) {
    if (row.outputs != kNoOutput) output_rows_.push_back(static_cast<uint32_t>(tokens_.size()));
    tokens_.push_back(row.token);
    positions_.push_back(row.position);
  }
  const size_t bytes = options_.max_rows * sizeof(uint32_t);
  backend_->upload(inputs_.data(), tokens_.data(), rows.size() * sizeof(int32_t));
  backend_->upload(inputs_.data() + bytes, positions_.data(), rows.size() * sizeof(uint32_t));
  backend_->upload(inputs_.data() + 2 * bytes, output_rows_.data(), output_rows_.size() * sizeof(uint32_t));
  const Step step = {.rows = rows.size(),
                     .tokens = inputs_.as<int32_t>(),
                     .positions = inputs_.as<uint32_t>(bytes),
                     .groups = plan(),
                     .output_rows = inputs_.as<uint32_t>(2 * bytes),
                     .n_outputs = output_rows_.size(),
                     .layers = layers,
                     .interrupt = options_.interrupt,
                     .after_layer = after_layer};
  phase.emplace(options_.trace, TraceKind::phase, "forward");
  const Ops ops(*backend_, options_.activations);
  Workspace workspace(activations_.as<float>(), workspace_floats_);
  model_->forward(ops, step, workspace, hidden_.top(output_rows_.size()));
}

void StepRunner::project(size_t first, size_t count) {
  const TraceSpan phase(options_.trace, TraceKind::phase, "project");
  projected_ = logits_.top(count);
  model_->logits(Ops(*backend_, options_.activations),
                 {hidden_.row(first), count, hidden_.cols, hidden_.stride}, projected_);
}

void StepRunner::argmax(std::span<int32_t> tokens) {
  auto* device = answers_.as<int32_t>(options_.max_outputs * sizeof(double));
  Ops(*backend_, options_.activations).argmax(projected_.top(tokens.size()), device);
  backend_->download(tokens.data(), device, tokens.size_bytes());
}

void StepRunner::log_sum_exp(std::span<double> sums) {
  Ops(*backend_, options_.activations).log_sum_exp(projected_.top(sums.size()), answers_.as<double>());
  backend_->download(sums.data(), answers_.data(), sums.size_bytes());
}

void StepRunner::top_k(size_t rows, uint32_t k) {
  k_ = k;
  best_ids_.resize(rows * k);
  best_values_.resize(rows * k);
  auto* ids = answers_.as<int32_t>(options_.max_outputs * (sizeof(double) + sizeof(int32_t)));
  auto* values = reinterpret_cast<float*>(ids + options_.max_outputs * kMaxTopK);
  Ops(*backend_, options_.activations).top_k(projected_.top(rows), k, ids, values);
  backend_->download(best_ids_.data(), ids, rows * k * sizeof(int32_t));
  backend_->download(best_values_.data(), values, rows * k * sizeof(float));
}

StepRunner::Best StepRunner::top_of(size_t index) const {
  return {std::span(best_ids_).subspan(index * k_, k_), std::span(best_values_).subspan(index * k_, k_)};
}

float StepRunner::logit(size_t index, int32_t token) const {
  float value = 0;
  backend_->download(&value, projected_.row(index) + token, sizeof value);
  return value;
}

std::span<float> StepRunner::logits(size_t index) {
  host_logits_.resize(projected_.cols);
  backend_->download(host_logits_.data(), projected_.row(index), projected_.cols * sizeof(float));
  return host_logits_;
}

}  // namespace headrace
