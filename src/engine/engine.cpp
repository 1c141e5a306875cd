#include "engine/engine.h"

#include <algorithm>
#include <deque>
#include <limits>

#include "cache/kv_cache.h"
#include "core/checked.h"
#include "core/file.h"
#include "schedule/step_plan.h"

namespace headrace {
namespace {

// Output rows that are projected to the vocabulary at once: enough to share each read of the weights, few
// enough that logits of a 256k vocabulary stay small.
constexpr size_t kLogitRows = 16;

constexpr uint32_t kPageTokens = 64;
constexpr uint32_t kMaxSequences = 4096;
constexpr uint64_t kMaxBatchRows = 1 << 16;

struct Running {
  RequestId id = 0;
  Request request;
  std::vector<int32_t> tokens;  // prompt and what was generated
  SequenceId sequence = 0;
  bool cancelled = false;
  bool done = false;
};

// A row whose hidden state is wanted, and for what.
struct Output {
  size_t running = 0;     // index
  uint32_t position = 0;  // of the token that follows the row
  bool score = false;     // that token is known: report its log-probability
};

Event ended(RequestId id, FinishReason reason) {
  Event event;
  event.request = id;
  event.finished = reason;
  return event;
}

class EngineImpl final : public Engine {
 public:
  EngineImpl(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model, MemoryLedger& ledger,
             const EngineOptions& options)
      : backend_(std::move(backend)),
        model_(std::move(model)),
        ledger_(ledger),
        options_(options),
        ops_(*backend_, options.activations) {}

  Status start();

  const Model& model() const override { return *model_; }
  const Backend& backend() const override { return *backend_; }
  uint32_t context() const override { return options_.context; }
  bool idle() const override { return waiting_.empty() && running_.empty(); }

  Result<RequestId> submit(Request request) override;
  void cancel(RequestId id) override;
  void step(std::vector<Event>& events) override;

 private:
  bool interrupted() const { return options_.interrupt != nullptr && options_.interrupt->load(); }
  Status choose_context();
  void admit();
  void drop_cancelled(std::vector<Event>& events);
  bool wants_draw(const Running& r, uint32_t position) const {
    return r.request.max_new_tokens > 0 && position == r.tokens.size();
  }
  bool wants_score(const Running& r, uint32_t position) const {
    return r.request.score_from && position >= *r.request.score_from && position < r.request.prompt.size();
  }
  void build_rows(std::span<const StepChunk> plan);
  void run_rows();
  void read_outputs(std::vector<Event>& events);
  void read_tile(std::span<const Output> tile, std::vector<Event>& events);
  void take_token(Running& r, Event event, std::vector<Event>& events);
  void finish_steps(std::span<const StepChunk> plan, std::vector<Event>& events);

  // The order of members matters: what lives in the backend's memory goes before the backend.
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  MemoryLedger& ledger_;
  EngineOptions options_;
  Ops ops_;
  KvCache cache_;
  DeviceBuffer activations_;  // workspace, then hidden, then logits
  DeviceBuffer inputs_;       // tokens, positions, output rows
  DeviceBuffer answers_;      // log-sum-exp and argmax of a tile
  Mat hidden_;
  Mat logits_;
  size_t workspace_floats_ = 0;
  RequestId next_id_ = 1;
  std::deque<Running> waiting_;
  std::vector<Running> running_;
  // Of the current step.
  std::vector<Row> rows_;
  std::vector<Output> outputs_;
  std::vector<uint32_t> output_rows_;
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> positions_;
  std::vector<float> host_logits_;
};

Status EngineImpl::choose_context() {
  const KvCacheOptions one = {.key_type = options_.key_type,
                              .value_type = options_.value_type,
                              .page_tokens = kPageTokens,
                              .sequences = options_.sequences,
                              .context = kPageTokens};
  if (options_.context == 0) {
    const uint64_t page_bytes = KvCache::bytes(model_->layer_groups(), one);
    // A tenth stays free for the plan's arrays and the rest of the program.
    const uint64_t free = (ledger_.cap() - std::min(ledger_.cap(), ledger_.used())) / 10 * 9;
    const uint64_t fits = std::max<uint64_t>(free / page_bytes, 1) * kPageTokens;
    options_.context = static_cast<uint32_t>(std::min<uint64_t>(model_->info().context_length, fits));
  }
  return {};
}

Status EngineImpl::start() {
  if (options_.sequences == 0 || options_.sequences > kMaxSequences) {
    return make_error(Errc::usage, "sequences: expected 1 to {}, found {}", kMaxSequences,
                      options_.sequences);
  }
  for (const DType type : {options_.key_type, options_.value_type}) {
    if (info_of(type).quantised)
      return make_error(Errc::usage, "KV cache: type {} is not F32, F16 or BF16", name_of(type));
  }
  const ModelInfo& info = model_->info();
  const uint64_t context = options_.context == 0 ? info.context_length : options_.context;
  options_.batch_rows = static_cast<uint32_t>(std::clamp<uint64_t>(
      options_.batch_rows, 1, std::min<uint64_t>(context * options_.sequences, kMaxBatchRows)));
  options_.batch_rows = std::max(options_.batch_rows, options_.sequences);
  const uint32_t rows = options_.batch_rows;
  if (options_.decode_threads == 0) options_.decode_threads = static_cast<uint32_t>(backend_->threads());
  if (options_.batch_threads == 0) options_.batch_threads = options_.decode_threads;

  // The cache comes last: an automatic context takes what the others leave.
  const uint32_t max_k = std::max({info.d_model, info.d_ff, info.n_heads * info.d_head});
  HEADRACE_RETURN_IF_ERROR(backend_->prepare(ledger_, {rows, max_k, info.d_head}));
  workspace_floats_ = model_->workspace_floats(rows);
  const size_t hidden_floats = size_t{rows} * info.d_model;
  const size_t logit_floats = kLogitRows * info.vocab_size;
  HEADRACE_TRY(activations_,
               backend_->allocate(ledger_, MemoryUse::activations,
                                  (workspace_floats_ + hidden_floats + logit_floats) * sizeof(float),
                                  "activations", "fewer rows a step (-b) would help"));
  HEADRACE_TRY(inputs_, backend_->allocate(ledger_, MemoryUse::activations, rows * 3 * sizeof(uint32_t),
                                           "step inputs"));
  HEADRACE_TRY(answers_, backend_->allocate(ledger_, MemoryUse::activations,
                                            kLogitRows * (sizeof(double) + sizeof(int32_t)), "step outputs"));
  HEADRACE_RETURN_IF_ERROR(choose_context());
  HEADRACE_TRY(cache_, KvCache::create(*backend_, ledger_, model_->layer_groups(),
                                       {.key_type = options_.key_type,
                                        .value_type = options_.value_type,
                                        .page_tokens = kPageTokens,
                                        .sequences = options_.sequences,
                                        .context = options_.context,
                                        .max_rows = rows}));
  // Last, so that a context beyond memory is refused with the bytes that it would take.
  if (options_.context > kMaxContext) {
    return make_error(Errc::usage, "a context of {} tokens is beyond the limit of {}", options_.context,
                      kMaxContext);
  }
  float* floats = activations_.as<float>();
  hidden_ = {floats + workspace_floats_, rows, info.d_model, info.d_model};
  logits_ = {floats + workspace_floats_ + hidden_floats, kLogitRows, info.vocab_size, info.vocab_size};
  return {};
}

Result<RequestId> EngineImpl::submit(Request request) {
  const size_t vocab = model_->info().vocab_size;
  if (request.prompt.empty()) return make_error(Errc::usage, "the prompt is empty");
  if (request.prompt.size() > options_.context) {
    return make_error(Errc::out_of_budget,
                      "the prompt has {} tokens, the context holds {}; a larger context (-c) would help",
                      request.prompt.size(), options_.context);
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || static_cast<size_t>(token) >= vocab) {
      return make_error(Errc::usage, "the prompt has token {}, the vocabulary ends at {}", token, vocab);
    }
  }
  if (request.score_from && *request.score_from == 0) {
    return make_error(Errc::usage, "score_from: the first token has nothing before it to be scored by");
  }
  HEADRACE_RETURN_IF_ERROR(check_sampling(request.sampling, vocab));
  Running r;
  r.id = next_id_++;
  r.tokens = request.prompt;
  r.request = std::move(request);
  waiting_.push_back(std::move(r));
  return waiting_.back().id;
}

void EngineImpl::cancel(RequestId id) {
  for (Running& r : waiting_) r.cancelled |= r.id == id;
  for (Running& r : running_) r.cancelled |= r.id == id;
}

void EngineImpl::drop_cancelled(std::vector<Event>& events) {
  const auto report = [&](const Running& r) {
    if (r.cancelled) events.push_back(ended(r.id, FinishReason::cancelled));
    return r.cancelled;
  };
  std::erase_if(running_, [&](const Running& r) {
    if (r.cancelled) cache_.close(r.sequence);
    return report(r);
  });
  std::erase_if(waiting_, report);
}

void EngineImpl::admit() {
  while (!waiting_.empty() && running_.size() < options_.sequences) {
    waiting_.front().sequence = cache_.open();
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void EngineImpl::build_rows(std::span<const StepChunk> plan) {
  rows_.clear();
  outputs_.clear();
  output_rows_.clear();
  for (const StepChunk& chunk : plan) {
    const Running& r = running_[chunk.index];
    const uint32_t computed = cache_.length(r.sequence);
    // Room for a whole context was taken at the start, so this can't fail.
    HEADRACE_CHECK(cache_.reserve(r.sequence, computed + chunk.count));
    for (uint32_t position = computed; position < computed + chunk.count; ++position) {
      Row row = {.token = r.tokens[position], .sequence = r.sequence, .position = position, .slot = position};
      const bool score = wants_score(r, position + 1);
      if (score || wants_draw(r, position + 1)) {
        row.outputs = kLogits;
        output_rows_.push_back(static_cast<uint32_t>(rows_.size()));
        outputs_.push_back({chunk.index, position + 1, score});
      }
      rows_.push_back(row);
    }
  }
}

void EngineImpl::run_rows() {
  tokens_.clear();
  positions_.clear();
  for (const Row& row : rows_) {
    tokens_.push_back(row.token);
    positions_.push_back(row.position);
  }
  const size_t n = rows_.size();
  const size_t bytes = options_.batch_rows * sizeof(uint32_t);
  backend_->upload(inputs_.data(), tokens_.data(), n * sizeof(int32_t));
  backend_->upload(inputs_.data() + bytes, positions_.data(), n * sizeof(uint32_t));
  backend_->upload(inputs_.data() + 2 * bytes, output_rows_.data(), output_rows_.size() * sizeof(uint32_t));
  const Step step = {.rows = n,
                     .tokens = inputs_.as<int32_t>(),
                     .positions = inputs_.as<uint32_t>(bytes),
                     .groups = cache_.plan(rows_),
                     .output_rows = inputs_.as<uint32_t>(2 * bytes),
                     .n_outputs = outputs_.size(),
                     .interrupt = options_.interrupt};
  backend_->use_threads(n > running_.size() ? options_.batch_threads : options_.decode_threads);
  Workspace workspace(activations_.as<float>(), workspace_floats_);
  model_->forward(ops_, step, workspace, hidden_.top(outputs_.size()));
}

void EngineImpl::read_outputs(std::vector<Event>& events) {
  for (size_t first = 0; first < outputs_.size(); first += kLogitRows) {
    const size_t count = std::min(kLogitRows, outputs_.size() - first);
    const ConstMat hidden = {hidden_.row(first), count, hidden_.cols, hidden_.stride};
    model_->logits(ops_, hidden, logits_.top(count));
    read_tile(std::span(outputs_).subspan(first, count), events);
  }
}

void EngineImpl::read_tile(std::span<const Output> tile, std::vector<Event>& events) {
  const auto plain = [&](const Output& o) {
    return !o.score && is_plain_argmax(running_[o.running].request.sampling);
  };
  double sums[kLogitRows] = {};
  int32_t best[kLogitRows] = {};
  const bool all_plain = std::ranges::all_of(tile, plain);
  if (all_plain) {
    auto* device = answers_.as<int32_t>(kLogitRows * sizeof(double));
    ops_.argmax(logits_.top(tile.size()), device);
    backend_->download(best, device, tile.size() * sizeof(int32_t));
  } else {
    const auto wants_sum = [&](const Output& o) {
      return o.score || running_[o.running].request.sampling.logprobs;
    };
    if (std::ranges::any_of(tile, wants_sum)) {
      ops_.log_sum_exp(logits_.top(tile.size()), answers_.as<double>());
      backend_->download(sums, answers_.data(), tile.size() * sizeof(double));
    }
    host_logits_.resize(kLogitRows * logits_.cols);
    backend_->download(host_logits_.data(), logits_.data, tile.size() * logits_.cols * sizeof(float));
  }
  for (size_t i = 0; i < tile.size(); ++i) {
    Running& r = running_[tile[i].running];
    Event event;
    event.request = r.id;
    event.has_token = true;
    event.scored = tile[i].score;
    event.position = tile[i].position;
    const std::span<float> logits =
        all_plain ? std::span<float>() : std::span(host_logits_).subspan(i * logits_.cols, logits_.cols);
    if (tile[i].score) {
      event.draw.token = r.tokens[tile[i].position];
      event.draw.logprob = static_cast<double>(logits[static_cast<size_t>(event.draw.token)]) - sums[i];
      events.push_back(std::move(event));
      continue;
    }
    if (all_plain)
      event.draw.token = best[i];
    else
      event.draw = draw(r.request.sampling, logits, r.tokens, tile[i].position, sums[i]);
    take_token(r, std::move(event), events);
  }
}

void EngineImpl::take_token(Running& r, Event event, std::vector<Event>& events) {
  r.tokens.push_back(event.draw.token);
  const size_t generated = r.tokens.size() - r.request.prompt.size();
  if (std::ranges::find(r.request.end_tokens, event.draw.token) != r.request.end_tokens.end()) {
    event.finished = FinishReason::end_token;
  } else if (generated >= r.request.max_new_tokens) {
    event.finished = FinishReason::length;
  } else if (r.tokens.size() >= options_.context) {
    event.finished = FinishReason::context;
  }
  r.done = event.finished != FinishReason::none;
  events.push_back(std::move(event));
}

// Commits what was computed and lets go of what is done.
void EngineImpl::finish_steps(std::span<const StepChunk> plan, std::vector<Event>& events) {
  for (const StepChunk& chunk : plan) {
    Running& r = running_[chunk.index];
    cache_.commit(r.sequence, chunk.count);
    if (r.request.max_new_tokens == 0 && cache_.length(r.sequence) == r.tokens.size()) {
      r.done = true;
      events.push_back(ended(r.id, FinishReason::length));
    }
  }
  std::erase_if(running_, [&](const Running& r) {
    if (r.done) cache_.close(r.sequence);
    return r.done;
  });
}

void EngineImpl::step(std::vector<Event>& events) {
  std::vector<Event> mine;
  drop_cancelled(mine);
  admit();
  std::vector<SequenceView> views;
  for (const Running& r : running_) {
    views.push_back({static_cast<uint32_t>(r.tokens.size()), cache_.length(r.sequence)});
  }
  const std::vector<StepChunk> plan = plan_step(views, options_.batch_rows);
  if (!plan.empty()) {
    build_rows(plan);
    run_rows();
  }
  if (interrupted()) {
    for (Running& r : running_) r.cancelled = true;
    for (Running& r : waiting_) r.cancelled = true;
    drop_cancelled(mine);
  } else if (!plan.empty()) {
    read_outputs(mine);
    finish_steps(plan, mine);
  }
  for (Event& event : mine) events.push_back(std::move(event));
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model,
                                               MemoryLedger& ledger, const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(std::move(backend), std::move(model), ledger, options);
  HEADRACE_RETURN_IF_ERROR(engine->start());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace headrace
