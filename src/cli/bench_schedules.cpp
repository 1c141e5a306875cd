// headrace bench --prompts --spec-sched: batches with drafts by one schedule and another, everything else
// equal.
#include <algorithm>
#include <chrono>
#include <map>

#include "cli/bench_drafts.h"
#include "cli/interrupt.h"
#include "engine/text_generator.h"
#include "schedule/exspec.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kTraceEvents = 1 << 14;  // of a step
constexpr const char* kStatic = "static";

// How often those that are decoded together have equal lengths.
class CountedPolicy final : public AdmissionPolicy {
 public:
  explicit CountedPolicy(std::shared_ptr<const AdmissionPolicy> inner) : inner_(std::move(inner)) {}

  std::string_view name() const override { return inner_->name(); }
  void plan(const Snapshot& now, StepPlan& plan) const override {
    inner_->plan(now, plan);
    uint32_t length = 0;
    uint32_t equal = 0;
    uint32_t all = 0;
    for (const StepChunk& chunk : plan.running) {
      const RunningView& r = now.running[chunk.index];
      if (r.known != r.computed + 1) continue;
      if (all++ == 0) length = r.known;
      equal += r.known == length ? 1 : 0;
    }
    if (all < 2) return;
    ++batches_;
    grouped_ += equal == all ? 1 : 0;
  }
  double grouped() const {
    return batches_ == 0 ? 0 : static_cast<double>(grouped_) / static_cast<double>(batches_);
  }
  void clear() { batches_ = grouped_ = 0; }

 private:
  std::shared_ptr<const AdmissionPolicy> inner_;
  mutable uint64_t batches_ = 0;
  mutable uint64_t grouped_ = 0;
};

// One schedule: an engine and how it is fed.
struct Contender {
  std::string name;
  std::unique_ptr<Trace> trace;
  std::shared_ptr<CountedPolicy> policy;  // null: the engine has none
  OpenModel model;
};

struct Figures {
  double seconds = 0;
  double step_seconds = 0;
  double aligning_seconds = 0;  // schedule, plan, rows, commit; and what padding costs
  uint64_t tokens = 0;
  uint64_t steps = 0;
  double grouped = 0;
  std::vector<double> latencies;  // seconds from a request's arrival to its end
  std::vector<std::vector<int32_t>> answers;

  double speed() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
  double aligning() const { return step_seconds > 0 ? aligning_seconds / step_seconds : 0; }
};

Result<Contender> contender(const BenchFlags& flags, const std::string& name, uint32_t at_once) {
  auto trace = std::make_unique<Trace>(kTraceEvents);
  std::shared_ptr<CountedPolicy> policy;
  EngineFlags engine = flags.engine;
  engine.threads = flags.n_threads.front();
  engine.batch_rows = std::min(flags.n_batch.front(), flags.n_ubatch.front());
  engine.context = flags.prompt_context;
  engine.sequences = at_once;
  engine.trace = trace.get();
  engine.trace_ops = false;
  engine.speculation.schedule = name == kStatic ? "ragged" : name;
  if (name != "eqspec") {
    std::shared_ptr<const AdmissionPolicy> inner = std::make_shared<ContinuousBatching>();
    if (name == "exspec") inner = std::make_shared<ExspecPool>(at_once);
    policy = std::make_shared<CountedPolicy>(inner);
    engine.policy = policy;
  }
  HEADRACE_TRY(OpenModel model, open_model(flags.model, engine));
  return Contender{name, std::move(trace), std::move(policy), std::move(model)};
}

// `within_schedule`: drafts are made in the phase "schedule", and are none of its work.
double aligning_seconds(const Trace& trace, bool within_schedule, double& step_seconds) {
  double sum = 0;
  for (const TraceEvent& event : trace.events()) {
    const std::string_view name = event.name;
    const double seconds = static_cast<double>(event.end_ns - event.begin_ns) * 1e-9;
    if (name == "step") step_seconds += seconds;
    if (name == "schedule" || name == "plan" || name == "rows" || name == "commit" || name == "align")
      sum += seconds;
    if (name == "draft" && within_schedule) sum -= seconds;
  }
  return sum;
}

// Requests arrive as long as fewer than `window` are unanswered, whatever the schedule; a static batch begins
// with those that have arrived when the one before has ended, all other schedules take each at once.
Result<Figures> answer_all(Contender& c, const std::vector<const DraftPrompt*>& prompts, uint32_t tokens,
                           uint32_t at_once, uint32_t window) {
  Engine& engine = *c.model.engine;
  engine.clear_cache();
  if (c.policy) c.policy->clear();
  const EndTokens ends(c.model.tokenizer);
  Figures figures;
  figures.answers.resize(prompts.size());
  std::map<RequestId, size_t> running;  // -> the prompt's index
  std::vector<Clock::time_point> arrivals;
  size_t submitted = 0;
  std::vector<Event> events;
  const Clock::time_point begin = Clock::now();
  while (figures.latencies.size() < prompts.size()) {
    while (arrivals.size() < prompts.size() && arrivals.size() - figures.latencies.size() < window)
      arrivals.push_back(Clock::now());
    if (c.name != kStatic || running.empty()) {
      const size_t end =
          c.name == kStatic ? std::min<size_t>(arrivals.size(), submitted + at_once) : arrivals.size();
      for (; submitted < end; ++submitted) {
        HEADRACE_TRY(const RequestId id, engine.submit(request_for(*prompts[submitted], tokens, ends, 0)));
        running[id] = submitted;
      }
    }
    events.clear();
    c.trace->clear();
    engine.step(events);
    // After the step, which has cancelled every answer then: they would seem to differ.
    if (interrupted()) return make_error(Errc::cancelled, "interrupted");
    figures.aligning_seconds += aligning_seconds(*c.trace, c.policy != nullptr, figures.step_seconds);
    ++figures.steps;
    for (const Event& event : events) {
      const size_t index = running.at(event.request);
      if (event.has_token) {
        ++figures.tokens;
        figures.answers[index].push_back(event.draw.token);
      }
      if (event.finished == FinishReason::none) continue;
      figures.latencies.push_back(std::chrono::duration<double>(Clock::now() - arrivals[index]).count());
      running.erase(event.request);
    }
  }
  figures.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  figures.grouped = c.policy ? c.policy->grouped() : 0;
  return figures;
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values.empty() ? 0
                        : values[std::min(values.size() - 1,
                                          static_cast<size_t>(q * static_cast<double>(values.size())))];
}

double median_of(const std::vector<Figures>& runs, double (*figure)(const Figures&)) {
  std::vector<double> values;
  for (const Figures& run : runs) values.push_back(figure(run));
  return quantile(std::move(values), 0.5);
}

Status write_row(const Contender& c, uint32_t at_once, const std::vector<Figures>& runs) {
  const std::string grouped =
      c.policy ? fmt::format("{:.1f} %", 100 * median_of(runs, [](const Figures& f) { return f.grouped; }))
               : "";
  return write_out(
      fmt::format("| {} | {} | {:.1f} | {:.1f} % | {} | {} | {:.2f} | {:.2f} |\n", at_once, c.name,
                  median_of(runs, [](const Figures& f) { return f.speed(); }),
                  100 * median_of(runs, [](const Figures& f) { return f.aligning(); }), runs.front().steps,
                  grouped, median_of(runs, [](const Figures& f) { return quantile(f.latencies, 0.5); }),
                  median_of(runs, [](const Figures& f) { return quantile(f.latencies, 0.99); })));
}

}  // namespace

Status bench_schedules(const BenchFlags& flags) {
  HEADRACE_RETURN_IF_ERROR(check_one_each(flags));
  if (!flags.trace.empty())
    return make_error(Errc::usage, "--spec-sched measures by traces of its own: no --trace");
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  HEADRACE_TRY(const Tokenizer tokenizer, load_tokenizer(file));
  HEADRACE_TRY(const std::vector<DraftPrompt> all, read_prompts(flags, tokenizer));
  std::vector<const DraftPrompt*> prompts;
  for (const DraftPrompt& prompt : all) {
    if (prompt.tokens.size() + flags.n_gen.front() <= flags.prompt_context) prompts.push_back(&prompt);
  }
  if (prompts.empty())
    return make_error(Errc::usage, "no prompt fits --prompt-context {}", flags.prompt_context);
  HEADRACE_RETURN_IF_ERROR(
      write_out("| at once | schedule | tok/s | aligning | steps | equal lengths | P50 s | P99 s |\n"
                "|---|---|---|---|---|---|---|---|\n"));
  for (const uint32_t at_once : flags.n_parallel) {
    std::vector<Contender> contenders;
    for (const std::string& name : flags.schedules) {
      HEADRACE_TRY(Contender made, contender(flags, name, at_once));
      contenders.push_back(std::move(made));
    }
    std::vector<std::vector<Figures>> runs(contenders.size());
    const uint32_t window = std::max(flags.engine.speculation.window, 2 * at_once);
    // There and back again, so that nobody always comes first.
    for (uint32_t round = 0; round < 2 * flags.repetitions; ++round) {
      for (size_t i = 0; i < contenders.size(); ++i) {
        const size_t which = round % 2 == 0 ? i : contenders.size() - 1 - i;
        HEADRACE_TRY(Figures figures,
                     answer_all(contenders[which], prompts, flags.n_gen.front(), at_once, window));
        if (!runs[0].empty() && figures.answers != runs[0].front().answers)
          return make_error(Errc::mismatch, "an answer of schedule {} differs from one of {}",
                            contenders[which].name, contenders[0].name);
        if (!runs[which].empty()) figures.answers.clear();
        runs[which].push_back(std::move(figures));
      }
    }
    for (size_t i = 0; i < contenders.size(); ++i)
      HEADRACE_RETURN_IF_ERROR(write_row(contenders[i], at_once, runs[i]));
  }
  note(fmt::format("{} prompts, {} tokens each, drafts: {}, {} tokens", prompts.size(), flags.n_gen.front(),
                   flags.engine.speculation.type, flags.engine.speculation.most));
  return {};
}

}  // namespace headrace::cli
