#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <tuple>

#include "core/file.h"
#include "decode/draw_scratch.h"
#include "engine/engine_options.h"
#include "engine/lineup.h"
#include "engine/measure_steps.h"
#include "engine/output_tile.h"
#include "engine/row_observer.h"
#include "engine/speculation.h"
#include "engine/step_runner.h"

namespace headrace {
namespace {

constexpr uint64_t kMaxBatchRows = 1 << 16;

int64_t system_clock_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

class EngineImpl final : public Engine {
 public:
  EngineImpl(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model, MemoryLedger& ledger,
             const EngineOptions& options)
      : backend_(std::move(backend)), model_(std::move(model)), ledger_(ledger), options_(options) {}

  Status start();

  const Model& model() const override { return *model_; }
  const Backend& backend() const override { return *backend_; }
  uint32_t context() const override { return options_.context; }
  bool idle() const override { return lineup_->empty(); }
  EngineStats stats() const override;
  StepLimits limits() const override { return limits_; }
  void set_limits(const StepLimits& limits) override;
  void clear_cache() override { store_->clear_cache(); }
  Status check_books() const override;

  Result<RequestId> submit(Request request) override;
  void cancel(RequestId id) override { end(id, std::nullopt); }
  void cancel(RequestId id, uint32_t choice) override { end(id, choice); }
  void step(std::vector<Event>& events) override;
  void recycle(std::vector<Event>& events) override;

 private:
  bool interrupted() const { return options_.interrupt != nullptr && options_.interrupt->load(); }
  size_t most_tokens(const Request& request) const;
  void make_room(const Request& request);
  void end(RequestId id, std::optional<uint32_t> choice);
  void expire();
  void drop_ended();
  Status start_speculation();
  uint64_t rows_besides_drafts() const;
  void schedule();
  void build_rows();
  void build_draft_rows(Choice& choice, uint32_t count);
  void run_rows();
  void read_outputs();
  void read_tile(std::span<const Output> tile);
  void take_token(Choice& choice, Event event);
  void straighten(const Choice& choice, uint32_t count);
  void finish_step();

  // The order of members matters: what lives in the backend's memory goes before the backend.
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  MemoryLedger& ledger_;
  EngineOptions options_;
  StepLimits limits_;
  std::optional<StepRunner> runner_;
  std::optional<StateStore> store_;
  std::optional<Lineup> lineup_;
  std::optional<Speculation> speculation_;
  std::optional<RowObserver> observer_;
  RequestId next_id_ = 1;
  uint64_t next_place_ = 1;
  bool deadlines_ = false;  // somebody has one
  uint64_t step_number_ = 0;
  EngineStats stats_;
  DrawScratch draw_scratch_;
  // Of the current step.
  StepPlan plan_;
  std::vector<StepChunk> chunks_;
  std::vector<Row> rows_;
  std::vector<Output> outputs_;
  uint64_t prompt_rows_ = 0;
  std::vector<Event> events_;
};

// --- making it --------------------------------------------------------------------------------------------

Status EngineImpl::start() {
  HEADRACE_RETURN_IF_ERROR(check_options(options_));
  const ModelInfo& info = model_->info();
  const uint64_t context = options_.context == 0 ? info.context_length : options_.context;
  options_.batch_rows = static_cast<uint32_t>(std::clamp<uint64_t>(
      options_.batch_rows, 1, std::min<uint64_t>(context * options_.sequences, kMaxBatchRows)));
  options_.batch_rows = std::max(options_.batch_rows, options_.sequences);
  if (options_.decode_threads == 0) options_.decode_threads = static_cast<uint32_t>(backend_->threads());
  if (options_.batch_threads == 0) options_.batch_threads = options_.decode_threads;
  if (!options_.clock_ms) options_.clock_ms = system_clock_ms;
  if (options_.policy == nullptr) options_.policy = std::make_shared<ContinuousBatching>();

  // The cache comes last: an automatic context takes what the others leave.
  const uint32_t drafted = options_.speculation.drafter ? options_.speculation.most : 0;
  const uint32_t wanted = std::max(options_.output_rows, options_.sequences * (drafted + 1));
  const uint32_t outputs = std::min({options_.batch_rows, wanted, kMaxLogitRows});
  HEADRACE_TRY(runner_, StepRunner::create(*backend_, *model_, ledger_,
                                           {.max_rows = options_.batch_rows,
                                            .max_outputs = outputs,
                                            .activations = options_.activations,
                                            .interrupt = options_.interrupt,
                                            .trace = options_.trace}));
  DrafterBytes drafter;
  if (options_.speculation.sizer) {
    HEADRACE_TRY(drafter, options_.speculation.sizer(*backend_, options_));
  }
  choose_context(*model_, ledger_, drafter, options_);
  HEADRACE_TRY(store_,
               StateStore::create(*backend_, ledger_, model_->layer_groups(), store_options(options_)));
  // Last, so that a context beyond memory is refused with the bytes that it would take.
  if (options_.context > kMaxContext) {
    return make_error(Errc::usage, "a context of {} tokens is beyond the limit of {}", options_.context,
                      kMaxContext);
  }
  lineup_.emplace(*store_);
  plan_.reserve(options_.sequences, kCandidates);
  chunks_.reserve(options_.sequences);
  rows_.reserve(options_.batch_rows);
  outputs_.reserve(options_.batch_rows);
  const size_t drafts =
      options_.speculation.drafter ? size_t{options_.sequences} * options_.speculation.most : 0;
  observer_.emplace(options_.observer, *backend_, *model_, options_.batch_rows,
                    std::min<size_t>(options_.batch_rows, drafts));
  set_limits({.rows = options_.batch_rows,
              .sequences = options_.sequences,
              .decode_threads = options_.decode_threads,
              .batch_threads = options_.batch_threads,
              .prefix_cache = options_.prefix_cache,
              .share_keys = options_.share_keys});
  return start_speculation();
}

// --- drafts -----------------------------------------------------------------------------------------------

Status EngineImpl::start_speculation() {
  const SpeculationOptions& wanted = options_.speculation;
  if (!wanted.drafter) return {};
  const DrafterWorld world = {*backend_, ledger_, *model_, &*store_, *runner_, draw_scratch_, options_};
  HEADRACE_TRY(auto drafter, wanted.drafter(world));
  std::unique_ptr<Drafter> second;
  if (wanted.second) {
    HEADRACE_TRY(second, wanted.second(world));
  }
  speculation_.emplace(std::move(drafter), std::move(second), wanted, options_.sequences);
  if (wanted.rule == DraftRule::rejection) draw_scratch_.prepare_distributions(model_->info().vocab_size);
  if (!wanted.automatic || options_.sizes_only) return {};
  constexpr uint64_t kNobody = 0x6D65617375726573;  // a salt of its own: nobody's prefix
  const SequenceId sequence = store_->open(kNobody, {});
  const uint64_t most = std::min<uint64_t>(
      {uint64_t{options_.sequences} * (wanted.most + 1), options_.batch_rows, options_.context});
  backend_->use_threads(limits_.decode_threads);
  measure_steps(*runner_, *store_, sequence, static_cast<uint32_t>(most), options_.interrupt,
                speculation_->cost());
  speculation_->warm_up(sequence);
  store_->close(sequence);
  return {};
}

// What the next step has to do anyway: about, for the plan is made later.
uint64_t EngineImpl::rows_besides_drafts() const {
  uint64_t rows = 0;
  for (const auto& choice : lineup_->running())
    rows += choice->tokens.size() - store_->length(*choice->sequence);
  const bool enters = lineup_->waiting() > 0 && lineup_->running().size() < limits_.sequences;
  return enters ? limits_.rows : std::min<uint64_t>(rows, limits_.rows);
}

void EngineImpl::set_limits(const StepLimits& limits) {
  limits_ = limits;
  limits_.rows = std::clamp(limits.rows, 1U, options_.batch_rows);
  limits_.sequences = std::clamp(limits.sequences, 1U, options_.sequences);
  if (limits_.decode_threads == 0) limits_.decode_threads = options_.decode_threads;
  if (limits_.batch_threads == 0) limits_.batch_threads = limits_.decode_threads;
  store_->set_limit(limits.kv_tokens);
  store_->set_sharing(limits.share_keys);
}

// --- requests ---------------------------------------------------------------------------------------------

// Tokens of the prompt and an answer to it.
size_t EngineImpl::most_tokens(const Request& request) const {
  const size_t prompt = request.prompt.size();
  if (request.max_new_tokens == 0) return prompt;
  // After a prompt that fills the context one token is drawn.
  return std::clamp<size_t>(prompt + request.max_new_tokens, prompt + 1,
                            std::max<size_t>(options_.context, prompt + 1));
}

// Steps take nothing from the heap, so what they may need beside the engine's own is taken here.
void EngineImpl::make_room(const Request& request) {
  const size_t draws = size_t{options_.sequences} * (speculation_ ? options_.speculation.most + 1 : 1);
  draw_scratch_.prepare(request.sampling, model_->info().vocab_size, most_tokens(request), draws);
  if (speculation_) speculation_->prepare(request.sampling, model_->info().vocab_size);
  // A step reports a token for each of its rows, and the end of everybody.
  const size_t most_events = options_.batch_rows + lineup_->running().size() + lineup_->waiting() + request.n;
  if (events_.capacity() < most_events) events_.reserve(2 * most_events);
}

Result<RequestId> EngineImpl::submit(Request request) {
  HEADRACE_RETURN_IF_ERROR(check_request(request, model_->info().vocab_size, options_.context));
  make_room(request);
  const RequestId id = next_id_++;
  const auto asked = std::make_shared<const Request>(std::move(request));
  const auto keys = std::make_shared<const std::vector<uint64_t>>(
      page_keys_of(asked->cache_salt, asked->prompt, options_.page_tokens));
  const auto prompt_end = static_cast<uint32_t>(asked->prompt.size());
  for (uint32_t n = 0; n < asked->n; ++n) {
    auto choice = std::make_unique<Choice>();
    choice->request = id;
    choice->number = n;
    choice->asked = asked;
    choice->sampling = asked->sampling;
    choice->sampling.choice += n;
    choice->place = {static_cast<int64_t>(step_number_) - int64_t{asked->priority} * kStepsPerPriority,
                     next_place_++};
    choice->tokens = asked->prompt;
    choice->tokens.reserve(most_tokens(*asked));
    choice->page_keys = keys;
    choice->submitted_step = step_number_;
    // The prompt is scored once.
    choice->next_score = n == 0 ? asked->score_from.value_or(prompt_end) : prompt_end;
    if (asked->deadline_ms > 0) choice->deadline = options_.clock_ms() + asked->deadline_ms;
    deadlines_ |= asked->deadline_ms > 0;
    lineup_->add(std::move(choice));
  }
  return id;
}

void EngineImpl::end(RequestId id, std::optional<uint32_t> number) {
  lineup_->for_each([&](Choice& choice) {
    if (choice.request == id && (!number || choice.number == *number))
      choice.ending = FinishReason::cancelled;
  });
}

void EngineImpl::expire() {
  if (!deadlines_) return;
  const int64_t now = options_.clock_ms();
  deadlines_ = false;
  lineup_->for_each([&](Choice& choice) {
    deadlines_ |= choice.deadline.has_value();
    if (choice.deadline && now >= *choice.deadline && choice.ending == FinishReason::none) {
      choice.ending = FinishReason::expired;
    }
  });
}

// The one way out: those that were cancelled or expired, and those that are done.
void EngineImpl::drop_ended() {
  lineup_->remove_if([](const Choice& choice) { return choice.ending != FinishReason::none; },
                     [&](Choice& choice) {
                       Event event;
                       event.request = choice.request;
                       event.choice = choice.number;
                       event.finished = choice.ending;
                       event.report = choice.report;
                       if (speculation_) speculation_->forget(choice);
                       // The last token's event is there already.
                       for (Event& last : events_) {
                         if (last.request != event.request || last.choice != event.choice) continue;
                         if (last.finished != choice.ending) continue;
                         last.report = choice.report;
                         return;
                       }
                       events_.push_back(std::move(event));
                     });
}

// --- a step -----------------------------------------------------------------------------------------------

// Fills chunks_.
void EngineImpl::schedule() {
  const TraceSpan phase(options_.trace, TraceKind::phase, "schedule");
  expire();
  drop_ended();
  chunks_.clear();
  if (lineup_->empty()) return;
  if (speculation_) {
    const TraceSpan drafts(options_.trace, TraceKind::phase, "draft");
    for (const auto& choice : lineup_->running()) choice->drafted = 0;
    if (limits_.drafts)
      speculation_->propose(lineup_->running(), *store_, rows_besides_drafts(), options_.context);
  }
  options_.policy->plan(lineup_->snapshot(limits_, options_.page_tokens), plan_);
  lineup_->apply(plan_, limits_, step_number_ - 1, chunks_);
}

void EngineImpl::build_rows() {
  const TraceSpan phase(options_.trace, TraceKind::phase, "rows");
  rows_.clear();
  outputs_.clear();
  observer_->begin_step();
  prompt_rows_ = 0;
  for (const StepChunk& chunk : chunks_) {
    Choice& choice = *lineup_->running()[chunk.index];
    const uint32_t computed = store_->length(*choice.sequence);
    // The policy counted the pages.
    HEADRACE_CHECK(store_->reserve(*choice.sequence, computed + chunk.count));
    const uint32_t end =
        std::min<uint32_t>(computed + chunk.count, static_cast<uint32_t>(choice.tokens.size()));
    for (uint32_t position = computed; position < end; ++position) {
      Row row = {.token = choice.tokens[position],
                 .sequence = *choice.sequence,
                 .position = position,
                 .slot = position};
      const bool score = choice.wants_score(position + 1);
      if (score || choice.wants_draw(position + 1)) {
        row.outputs = kLogits;
        outputs_.push_back({&choice, position + 1, score});
      }
      if (position < choice.asked->prompt.size()) ++prompt_rows_;
      rows_.push_back(row);
      observer_->add_row(choice, position, Draft::kText);
    }
    if (speculation_) build_draft_rows(choice, computed + chunk.count - end);
  }
  stats_.prompt_rows += prompt_rows_;
}

// A node of a draft stands where its token would: nodes of equal depth share a position, each has its own
// slot.
void EngineImpl::build_draft_rows(Choice& choice, uint32_t count) {
  speculation_->begin(choice, count);
  const Draft& draft = speculation_->draft(choice);
  const auto known = static_cast<uint32_t>(choice.tokens.size());
  const bool chain = draft.is_chain();
  for (uint32_t i = 0; i < draft.size(); ++i) {
    const Draft::Node& node = draft.node(i);
    observer_->add_row(choice, known + node.depth - 1, static_cast<int32_t>(i));
    rows_.push_back({.token = node.token,
                     .sequence = *choice.sequence,
                     .position = known + node.depth - 1,
                     .slot = known + i,
                     .ancestors = chain ? 0 : draft.ancestors(i),
                     .outputs = kLogits});
    outputs_.push_back({&choice, known + node.depth, false, static_cast<int32_t>(i)});
  }
}

void EngineImpl::run_rows() {
  backend_->use_threads(prompt_rows_ == 0 ? limits_.decode_threads : limits_.batch_threads);
  ++stats_.steps;
  stats_.rows += rows_.size();
  stats_.last_step_rows = static_cast<uint32_t>(rows_.size());
  runner_->run(*store_, rows_, observer_->after_layer());
}

void EngineImpl::read_outputs() {
  const size_t most = runner_->max_outputs();
  for (size_t first = 0; first < outputs_.size(); first += most) {
    const size_t count = std::min(most, outputs_.size() - first);
    runner_->project(first, count);
    read_tile(std::span(outputs_).subspan(first, count));
  }
}

void EngineImpl::read_tile(std::span<const Output> tile) {
  const TraceSpan phase(options_.trace, TraceKind::phase, "draw");
  OutputTile logits(*runner_, draw_scratch_, speculation_ ? &*speculation_ : nullptr, tile);
  for (size_t i = 0; i < tile.size(); ++i) {
    Choice& choice = *tile[i].choice;
    // A row of a draft counts if the text has come to it.
    if (!tile[i].score && speculation_ && speculation_->at(choice) != tile[i].node) continue;
    Event event;
    event.request = choice.request;
    event.choice = choice.number;
    event.has_token = true;
    event.scored = tile[i].score;
    event.position = tile[i].position;
    if (tile[i].score) {
      event.draw.token = choice.tokens[tile[i].position];
      event.draw.logprob = logits.logprob(i, event.draw.token);
      choice.next_score = tile[i].position + 1;
      events_.push_back(std::move(event));
      continue;
    }
    event.draw = logits.draw(i);
    if (speculation_) speculation_->drawn(choice, event.draw.token);
    take_token(choice, std::move(event));
    if (speculation_ && choice.ending != FinishReason::none) speculation_->stop(choice);
  }
}

void EngineImpl::take_token(Choice& choice, Event event) {
  choice.tokens.push_back(event.draw.token);
  event.finished = end_after_last_token(choice, options_.context);
  choice.ending = event.finished;
  events_.push_back(std::move(event));
}

// The first `count` nodes that were right, one after another.
void EngineImpl::straighten(const Choice& choice, uint32_t count) {
  if (speculation_->draft(choice).is_chain()) return;
  const uint32_t known = store_->length(*choice.sequence) + 1;
  std::array<uint32_t, kMaxDraftNodes> slots = {};
  const std::span<const uint32_t> path = speculation_->accepted(choice).first(count);
  for (size_t i = 0; i < path.size(); ++i) slots[i] = known + path[i];
  store_->straighten(*choice.sequence, std::span(slots).first(path.size()));
}

// Commits what was computed.
void EngineImpl::finish_step() {
  const TraceSpan phase(options_.trace, TraceKind::phase, "commit");
  for (const StepChunk& chunk : chunks_) {
    Choice& choice = *lineup_->running()[chunk.index];
    const uint32_t computed = store_->length(*choice.sequence);
    uint32_t count = chunk.count;
    // Of a draft the tokens that were drawn, but for the last, which has no row yet.
    const bool drafted = speculation_ && !speculation_->draft(choice).empty();
    if (drafted) {
      count = static_cast<uint32_t>(choice.tokens.size()) - 1 - computed;
      straighten(choice, count - 1);
    }
    store_->commit(*choice.sequence, std::span(choice.tokens).subspan(computed, count));
    if (drafted) store_->trim(*choice.sequence);
    if (choice.asked->max_new_tokens == 0 && computed + count == choice.tokens.size()) {
      choice.ending = FinishReason::length;
    }
  }
}

void EngineImpl::step(std::vector<Event>& events) {
  TraceSpan span(options_.trace, TraceKind::step, "step");
  const uint64_t prompt_rows = stats_.prompt_rows;
  ++step_number_;
  stats_.last_step_rows = 0;
  events_.clear();
  schedule();
  const auto begin = std::chrono::steady_clock::now();
  if (!chunks_.empty()) {
    build_rows();
    run_rows();
  }
  if (interrupted()) {
    lineup_->for_each([](Choice& choice) { choice.ending = FinishReason::cancelled; });
  } else if (!chunks_.empty()) {
    read_outputs();
    if (speculation_ && prompt_rows_ == 0) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
      speculation_->cost().observe(rows_.size(), passed.count());
    }
    if (speculation_) observer_->finish_step(*speculation_);
    finish_step();
  }
  drop_ended();
  // Of one choice: tokens as they stand in the text, then an end without one.
  std::ranges::sort(events_, {},
                    [](const Event& e) { return std::tuple(e.request, e.choice, !e.has_token, e.position); });
  for (Event& event : events_) events.push_back(std::move(event));
  if (lineup_->empty()) {
    const Status books = check_books();
    if (!books) panic(books.error().message, __FILE__, __LINE__);
  }
  const uint64_t read = stats_.prompt_rows - prompt_rows;
  span.set_sizes({{{"rows", stats_.last_step_rows},
                   {"decode_rows", stats_.last_step_rows - read},
                   {"prefill_rows", read}}});
}

void EngineImpl::recycle(std::vector<Event>& events) {
  for (Event& event : events) draw_scratch_.recycle(event.draw);
  events.clear();
}

EngineStats EngineImpl::stats() const {
  EngineStats stats = stats_;
  stats.reused_tokens = lineup_->reused_tokens();
  stats.preemptions = lineup_->preemptions();
  stats.page_copies = store_->page_copies();
  stats.evicted_pages = store_->evicted_pages();
  stats.retired_pages = store_->retired_pages();
  stats.saved_keys = store_->saved_keys();
  stats.running = static_cast<uint32_t>(lineup_->running().size());
  stats.waiting = static_cast<uint32_t>(lineup_->waiting());
  if (speculation_) {
    stats.drafts = speculation_->counters();
    stats.cost_error = speculation_->cost().mean_error();
  }
  return stats;
}

Status EngineImpl::check_books() const {
  for (const auto& choice : lineup_->running()) {
    const uint32_t computed = store_->length(*choice->sequence);
    if (computed >= choice->tokens.size()) {
      return make_error(Errc::bad_model, "books: request {} has {} tokens and {} computed", choice->request,
                        choice->tokens.size(), computed);
    }
  }
  return store_->audit(lineup_->running().size());
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model,
                                               MemoryLedger& ledger, const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(std::move(backend), std::move(model), ledger, options);
  HEADRACE_RETURN_IF_ERROR(engine->start());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace headrace
