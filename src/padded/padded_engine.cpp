#include "padded/padded_engine.h"

#include <algorithm>
#include <deque>
#include <tuple>

#include "decode/drafter.h"
#include "engine/engine_options.h"
#include "engine/output_tile.h"
#include "padded/padded_cache.h"

namespace headrace {
namespace {

constexpr uint32_t kAutomaticContext = 2048;
constexpr int32_t kPad = 0;  // a token: nobody sees it
constexpr uint32_t kNowhere = UINT32_MAX;

// A sequence of the batch.
struct Place {
  std::unique_ptr<Choice> choice;
  Draft draft;
  uint32_t at = 0;  // the row after which a token is drawn next, or kNowhere
  bool ended() const { return choice->ending != FinishReason::none; }
};

class PaddedEngine final : public Engine {
 public:
  PaddedEngine(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model, MemoryLedger& ledger,
               const EngineOptions& options)
      : backend_(std::move(backend)), model_(std::move(model)), ledger_(ledger), options_(options) {}

  Status start();

  const Model& model() const override { return *model_; }
  const Backend& backend() const override { return *backend_; }
  uint32_t context() const override { return options_.context; }
  bool idle() const override { return batch_.empty() && waiting_.empty(); }
  StepLimits limits() const override { return limits_; }
  void set_limits(const StepLimits& limits) override;
  void clear_cache() override {}
  Status check_books() const override { return {}; }
  EngineStats stats() const override;

  Result<RequestId> submit(Request request) override;
  void cancel(RequestId id) override { end(id, std::nullopt); }
  void cancel(RequestId id, uint32_t choice) override { end(id, choice); }
  void step(std::vector<Event>& events) override;

 private:
  bool interrupted() const { return options_.interrupt != nullptr && options_.interrupt->load(); }
  uint32_t most_drafted() const { return drafter_ ? options_.speculation.most : 0; }
  void end(RequestId id, std::optional<uint32_t> number);
  void report_end(Choice& choice);
  void begin_batch();
  void read_prompts();
  uint32_t draft();
  void check(uint32_t drafted);
  void read_outputs();
  void take_token(Place& place, Event event, uint32_t row);
  void align();
  void run(uint32_t first, uint32_t count, bool outputs);

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  MemoryLedger& ledger_;
  EngineOptions options_;
  StepLimits limits_;
  std::optional<StepRunner> runner_;
  std::optional<PaddedCache> cache_;
  DrawScratch draws_;
  std::unique_ptr<Drafter> drafter_;
  RequestId next_id_ = 1;
  uint64_t next_place_ = 1;
  std::deque<std::unique_ptr<Choice>> waiting_;
  std::vector<Place> batch_;
  std::vector<uint32_t> pads_;  // of each sequence
  uint32_t length_ = 0;         // columns of the rectangle, those of the longest text
  EngineStats stats_;
  std::vector<Row> rows_;
  std::vector<Output> outputs_;
  std::vector<Event> events_;
};

Status PaddedEngine::start() {
  if (options_.speculation.rule != DraftRule::coupled)
    return make_error(Errc::unsupported, "a padded batch checks drafts by the coupled rule alone");
  if (options_.speculation.second)
    return make_error(Errc::unsupported, "a padded batch has room for one drafter, not for two");
  if (options_.context == 0) options_.context = std::min(model_->info().context_length, kAutomaticContext);
  HEADRACE_RETURN_IF_ERROR(check_options(options_));
  const uint32_t drafted = options_.speculation.drafter ? options_.speculation.most : 0;
  const uint32_t round_rows = options_.sequences * (drafted + 1);
  options_.batch_rows = std::max(options_.batch_rows, round_rows);
  options_.kv_tokens = 0;
  HEADRACE_TRY(runner_, StepRunner::create(*backend_, *model_, ledger_,
                                           {.max_rows = options_.batch_rows,
                                            .max_outputs = std::min(round_rows, kMaxLogitRows),
                                            .activations = options_.activations,
                                            .interrupt = options_.interrupt,
                                            .trace = options_.trace}));
  HEADRACE_TRY(cache_,
               PaddedCache::create(*backend_, ledger_, model_->layer_groups(),
                                   {options_.key_type, options_.value_type, options_.page_tokens},
                                   options_.sequences, options_.context + drafted, options_.batch_rows));
  if (options_.decode_threads == 0) options_.decode_threads = static_cast<uint32_t>(backend_->threads());
  set_limits({.rows = options_.batch_rows, .sequences = options_.sequences});
  if (!options_.speculation.drafter) return {};
  HEADRACE_TRY(drafter_, options_.speculation.drafter(
                             {*backend_, ledger_, *model_, nullptr, *runner_, draws_, options_}));
  return {};
}

void PaddedEngine::set_limits(const StepLimits& limits) {
  limits_ = limits;
  limits_.sequences = std::clamp(limits.sequences, 1U, options_.sequences);
  limits_.rows = options_.batch_rows;
}

EngineStats PaddedEngine::stats() const {
  EngineStats stats = stats_;
  stats.running = static_cast<uint32_t>(batch_.size());
  stats.waiting = static_cast<uint32_t>(waiting_.size());
  return stats;
}

Result<RequestId> PaddedEngine::submit(Request request) {
  HEADRACE_RETURN_IF_ERROR(check_request(request, model_->info().vocab_size, options_.context));
  if (request.score_from) return make_error(Errc::unsupported, "a padded batch does not score prompts");
  draws_.prepare(request.sampling, model_->info().vocab_size, options_.context + 1,
                 size_t{options_.sequences} * (most_drafted() + 1));
  const RequestId id = next_id_++;
  const auto asked = std::make_shared<const Request>(std::move(request));
  for (uint32_t n = 0; n < asked->n; ++n) {
    auto choice = std::make_unique<Choice>();
    choice->request = id;
    choice->number = n;
    choice->asked = asked;
    choice->sampling = asked->sampling;
    choice->sampling.choice += n;
    choice->place.id = next_place_++;
    choice->tokens = asked->prompt;
    choice->tokens.reserve(options_.context + 1);
    waiting_.push_back(std::move(choice));
  }
  return id;
}

void PaddedEngine::end(RequestId id, std::optional<uint32_t> number) {
  const auto cancel_it = [&](Choice& choice) {
    if (choice.request == id && (!number || choice.number == *number) && choice.ending == FinishReason::none)
      choice.ending = FinishReason::cancelled;
  };
  for (const auto& choice : waiting_) cancel_it(*choice);
  for (const Place& place : batch_) cancel_it(*place.choice);
}

// The last token's event says so already, or there is none.
void PaddedEngine::report_end(Choice& choice) {
  Event event;
  event.request = choice.request;
  event.choice = choice.number;
  event.finished = choice.ending;
  event.report = choice.report;
  if (drafter_) drafter_->forget(choice.place.id);
  for (Event& last : events_) {
    if (last.request != event.request || last.choice != event.choice || last.finished != choice.ending)
      continue;
    last.report = choice.report;
    return;
  }
  events_.push_back(std::move(event));
}

void PaddedEngine::step(std::vector<Event>& events) {
  const TraceSpan span(options_.trace, TraceKind::step, "step");
  events_.clear();
  stats_.last_step_rows = 0;
  std::vector<bool> told(batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i) told[i] = batch_[i].ended() && batch_[i].at == kNowhere;
  std::erase_if(waiting_, [&](const std::unique_ptr<Choice>& choice) {
    if (choice->ending == FinishReason::none) return false;
    report_end(*choice);
    return true;
  });
  if (batch_.empty() && !waiting_.empty()) {
    begin_batch();
    told.assign(batch_.size(), false);
    read_prompts();
  }
  const auto all_ended = [&] {
    return std::ranges::all_of(batch_, [](const Place& p) { return p.ended(); });
  };
  if (!batch_.empty() && !all_ended()) check(draft());
  if (interrupted()) {
    for (const Place& place : batch_) place.choice->ending = FinishReason::cancelled;
    for (const auto& choice : waiting_) choice->ending = FinishReason::cancelled;
  }
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (!batch_[i].ended() || told[i]) continue;
    batch_[i].at = kNowhere;
    report_end(*batch_[i].choice);
  }
  if (all_ended()) {
    batch_.clear();
  } else {
    align();
  }
  std::ranges::sort(events_, {},
                    [](const Event& e) { return std::tuple(e.request, e.choice, !e.has_token, e.position); });
  for (Event& event : events_) events.push_back(std::move(event));
}

void PaddedEngine::begin_batch() {
  pads_.clear();
  length_ = 0;
  while (!waiting_.empty() && batch_.size() < limits_.sequences) {
    batch_.push_back({std::move(waiting_.front()), {}, 0});
    waiting_.pop_front();
    length_ = std::max(length_, static_cast<uint32_t>(batch_.back().choice->tokens.size()));
  }
  for (const Place& place : batch_)
    pads_.push_back(length_ - static_cast<uint32_t>(place.choice->tokens.size()));
}

// All columns but the last, whose tokens are the first of a round.
void PaddedEngine::read_prompts() {
  const auto sequences = static_cast<uint32_t>(batch_.size());
  const uint32_t at_once = std::max(1U, options_.batch_rows / sequences);
  for (uint32_t first = 0; first + 1 < length_ && !interrupted(); first += at_once) {
    run(first, std::min(at_once, length_ - 1 - first), false);
    stats_.prompt_rows += rows_.size();
  }
  for (const Place& place : batch_) {
    if (place.choice->asked->max_new_tokens == 0) place.choice->ending = FinishReason::length;
  }
}

// Columns [first, first + count) of everybody, those of drafts beyond the text.
void PaddedEngine::run(uint32_t first, uint32_t count, bool outputs) {
  rows_.clear();
  outputs_.clear();
  for (size_t i = 0; i < batch_.size(); ++i) {
    Place& place = batch_[i];
    const std::vector<int32_t>& tokens = place.choice->tokens;
    for (uint32_t column = first; column < first + count; ++column) {
      Row row = {.token = kPad, .sequence = static_cast<uint32_t>(i), .slot = column};
      if (column >= pads_[i]) row.position = column - pads_[i];
      const bool content = column >= pads_[i];
      if (content && row.position < tokens.size()) row.token = tokens[row.position];
      const auto node = row.position - static_cast<uint32_t>(tokens.size());
      if (content && row.position >= tokens.size() && node < place.draft.size())
        row.token = place.draft.node(node).token;
      if (outputs) {
        row.outputs = kLogits;
        outputs_.push_back(
            {place.choice.get(), row.position + 1, false, static_cast<int32_t>(column - first)});
      }
      rows_.push_back(row);
    }
  }
  backend_->use_threads(options_.decode_threads);
  ++stats_.steps;
  stats_.rows += rows_.size();
  stats_.last_step_rows += static_cast<uint32_t>(rows_.size());
  runner_->run([&] { return cache_->plan(pads_, first, count); }, rows_);
}

// Drafts for those that go on; how many tokens everybody checks in this round.
uint32_t PaddedEngine::draft() {
  const TraceSpan phase(options_.trace, TraceKind::phase, "draft");
  size_t most = limits_.drafts ? most_drafted() : 0;
  for (Place& place : batch_) {
    place.draft.clear();
    place.at = place.ended() ? kNowhere : 0;
    if (place.ended()) continue;
    const Choice& choice = *place.choice;
    const size_t known = choice.tokens.size();
    const size_t generated = known - choice.asked->prompt.size();
    const size_t wanted = choice.asked->max_new_tokens - generated;
    const size_t room = options_.context > known ? options_.context - known : 1;
    most = std::min(most, std::min(wanted, room) - 1);
  }
  if (most == 0) return 0;
  std::vector<DraftRequest> requests;
  for (Place& place : batch_) {
    if (place.ended()) continue;
    requests.push_back({.sequence = place.choice->place.id,
                        .tokens = place.choice->tokens,
                        .salt = place.choice->asked->cache_salt,
                        .sampling = &place.choice->sampling,
                        .most = static_cast<uint32_t>(most),
                        .draft = &place.draft});
  }
  drafter_->propose(requests);
  return static_cast<uint32_t>(most);
}

void PaddedEngine::check(uint32_t drafted) {
  for (Place& place : batch_) {
    if (place.draft.empty()) continue;
    ++stats_.drafts.drafts;
    stats_.drafts.tokens += place.draft.size();
    ++place.choice->report.drafts.drafts;
    place.choice->report.drafts.tokens += place.draft.size();
  }
  run(length_ - 1, drafted + 1, true);
  if (!interrupted()) read_outputs();
}

void PaddedEngine::read_outputs() {
  const uint32_t width = static_cast<uint32_t>(outputs_.size() / batch_.size());
  const size_t most = runner_->max_outputs();
  for (size_t first = 0; first < outputs_.size(); first += most) {
    const size_t count = std::min(most, outputs_.size() - first);
    const std::span<const Output> tile = std::span(outputs_).subspan(first, count);
    runner_->project(first, count);
    const TraceSpan phase(options_.trace, TraceKind::phase, "draw");
    OutputTile logits(*runner_, draws_, nullptr, tile);
    for (size_t i = 0; i < count; ++i) {
      Place& place = batch_[(first + i) / width];
      const auto row = static_cast<uint32_t>(tile[i].node);
      if (place.at != row) continue;
      Event event;
      event.request = place.choice->request;
      event.choice = place.choice->number;
      event.has_token = true;
      event.position = tile[i].position;
      event.draw = logits.draw(i);
      take_token(place, std::move(event), row);
    }
  }
}

void PaddedEngine::take_token(Place& place, Event event, uint32_t row) {
  Choice& choice = *place.choice;
  const int32_t token = event.draw.token;
  const bool right = row < place.draft.size() && place.draft.node(row).token == token;
  if (right) {
    ++stats_.drafts.accepted;
    ++choice.report.drafts.accepted;
  }
  choice.tokens.push_back(token);
  event.finished = end_after_last_token(choice, options_.context);
  choice.ending = event.finished;
  place.at = right && choice.ending == FinishReason::none ? row + 1 : kNowhere - 1;
  events_.push_back(std::move(event));
}

// Unpad, append, pad again; keys and values follow.
void PaddedEngine::align() {
  if (batch_.empty()) return;
  const TraceSpan phase(options_.trace, TraceKind::phase, "align");
  std::vector<uint32_t> pads;
  std::vector<uint32_t> rows;
  length_ = 0;
  for (const Place& place : batch_)
    length_ = std::max(length_, static_cast<uint32_t>(place.choice->tokens.size()));
  for (const Place& place : batch_) {
    const auto content = static_cast<uint32_t>(place.choice->tokens.size());
    pads.push_back(length_ - content);
    rows.push_back(content - 1);
  }
  cache_->realign(pads_, pads, rows, length_);
  pads_ = pads;
}

}  // namespace

Result<std::unique_ptr<Engine>> make_padded_engine(std::unique_ptr<Backend> backend,
                                                   std::unique_ptr<Model> model, MemoryLedger& ledger,
                                                   const EngineOptions& options) {
  auto engine = std::make_unique<PaddedEngine>(std::move(backend), std::move(model), ledger, options);
  HEADRACE_RETURN_IF_ERROR(engine->start());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace headrace
