#include "exactness/run.h"

#include <algorithm>
#include <map>

#include "exactness/requests.h"
#include "exactness/tally.h"

namespace headrace::exactness {
namespace {

constexpr uint32_t kPage = 64;

ExactnessDifference broken(std::string kind, std::string what) {
  ExactnessDifference difference;
  difference.kind = std::move(kind);
  difference.what = std::move(what);
  return difference;
}

class TrialRun {
 public:
  TrialRun(Engine& engine, ProbeObserver& observer, const Trial& trial, const Probe& probe,
           const Baseline& baseline, const ModelShape& shape, const std::atomic<bool>* cancel)
      : engine_(engine),
        observer_(observer),
        trial_(trial),
        probe_(probe),
        baseline_(baseline),
        shape_(shape),
        cancel_(cancel),
        requests_(engine) {}

  Result<TrialResult> run();

 private:
  Status fill_cache();
  Status submit_due(uint32_t step);
  Status push();
  void end_pushes();
  void take(const std::vector<Event>& events);
  void take_step();
  void compare();

  Engine& engine_;
  ProbeObserver& observer_;
  const Trial& trial_;
  const Probe& probe_;
  const Baseline& baseline_;
  const ModelShape& shape_;
  const std::atomic<bool>* cancel_;
  Requests requests_;
  TrialResult result_;
  Answer answer_;
  RequestId id_ = 0;  // of the probe
  bool done_ = false;
  EngineStats at_submission_;
  uint32_t active_steps_ = 0;
  uint32_t largest_chunk_ = 0;
  size_t next_neighbour_ = 0;
  std::multimap<uint32_t, RequestId> to_cancel_;  // by step
  size_t next_push_ = 0;
  std::vector<RequestId> pushers_;
  uint32_t ended_in_step_ = 0;
};

// The requests that ran before the probe, so that the cache knows their texts.
Status TrialRun::fill_cache() {
  std::vector<Event> events;
  for (const Request& request : trial_.before) {
    HEADRACE_TRY(const RequestId id, requests_.submit(request));
    while (requests_.running(id) && requests_.steps() < requests_.most_steps() && !is_set(cancel_))
      requests_.step(events);
  }
  return {};
}

Status TrialRun::submit_due(uint32_t step) {
  // The probe goes first in its step: some neighbours overtake it by priority anyway.
  if (step == trial_.probe_step) {
    at_submission_ = engine_.stats();
    HEADRACE_TRY(id_, requests_.submit(asked_request(trial_, probe_)));
    observer_.compare(id_, trial_.choice, probe_.prompt_tokens(), baseline_.layers);
  }
  for (; next_neighbour_ < trial_.neighbours.size(); ++next_neighbour_) {
    const Neighbour& neighbour = trial_.neighbours[next_neighbour_];
    if (neighbour.step > step) break;
    HEADRACE_TRY(const RequestId id, requests_.submit(neighbour.request));
    if (neighbour.cancelled_at > 0) to_cancel_.emplace(neighbour.cancelled_at, id);
  }
  for (auto [at, end] = to_cancel_.equal_range(step); at != end; ++at) requests_.cancel(at->second);
  return {};
}

// A push takes away what the probe stands on: the place to run, or the pages.
Status TrialRun::push() {
  const Push& now = trial_.pushes[next_push_++];
  StepLimits limits = engine_.limits();
  if (now.pages)
    limits.kv_tokens = shape_.context;
  else
    limits.sequences = std::max(1U, engine_.stats().running);
  engine_.set_limits(limits);
  for (const Request& request : now.requests) {
    HEADRACE_TRY(const RequestId id, requests_.submit(request));
    pushers_.push_back(id);
  }
  return {};
}

void TrialRun::end_pushes() {
  std::erase_if(pushers_, [&](RequestId id) { return !requests_.running(id); });
  if (!pushers_.empty() || engine_.limits().sequences == trial_.limits.sequences) return;
  StepLimits limits = engine_.limits();
  limits.sequences = trial_.limits.sequences;
  engine_.set_limits(limits);
}

void TrialRun::take(const std::vector<Event>& events) {
  ended_in_step_ = 0;
  for (const Event& event : events) {
    ended_in_step_ += event.finished != FinishReason::none ? 1 : 0;
    if (event.request != id_ || event.choice != trial_.choice) continue;
    answer_.add(event, probe_.request.sampling);
    if (event.finished == FinishReason::none) continue;
    done_ = true;
    result_.facts.reused = event.report.reuse.tokens;
    result_.facts.preemptions = event.report.preemptions;
    result_.facts.drafted = event.report.drafts.tokens;
    result_.facts.accepted = event.report.drafts.accepted;
  }
}

// What the step was like for the probe.
void TrialRun::take_step() {
  const uint32_t rows = observer_.step_rows();
  if (rows == 0) return;
  ++active_steps_;
  const EngineStats stats = engine_.stats();
  Facts& facts = result_.facts;
  facts.row_buckets |= 1U << row_bucket(stats.last_step_rows);
  if (observer_.step_position() < probe_.prompt_tokens()) {
    facts.chunk_buckets |= 1U << chunk_bucket(rows);
    largest_chunk_ = std::max(largest_chunk_, rows);
  }
  facts.most_running = std::max(facts.most_running, stats.running + ended_in_step_);
}

void TrialRun::compare() {
  Facts& facts = result_.facts;
  facts.tokens = answer_.tokens.size();
  facts.layer_rows = observer_.compared();
  facts.in_pieces = facts.reused + largest_chunk_ < probe_.prompt_tokens();
  // Pages are retired whole: the first of them leaves when the window has passed it.
  const bool outgrown = probe_.prompt_tokens() + answer_.tokens.size() > size_t{shape_.window} + kPage;
  facts.retired =
      shape_.window > 0 && outgrown && engine_.stats().retired_pages > at_submission_.retired_pages;
  result_.difference = first_difference(baseline_.answer, answer_, observer_.difference());
}

Result<TrialResult> TrialRun::run() {
  engine_.set_limits(trial_.limits);
  engine_.clear_cache();
  HEADRACE_RETURN_IF_ERROR(fill_cache());
  std::vector<Event> events;
  for (uint32_t step = 0; !done_ && !is_set(cancel_) && requests_.steps() < requests_.most_steps(); ++step) {
    HEADRACE_RETURN_IF_ERROR(submit_due(step));
    if (next_push_ < trial_.pushes.size() && active_steps_ >= trial_.pushes[next_push_].after)
      HEADRACE_RETURN_IF_ERROR(push());
    observer_.begin_step();
    requests_.step(events);
    take(events);
    take_step();
    end_pushes();
  }
  if (is_set(cancel_)) return make_error(Errc::cancelled, "interrupted");
  const bool finished = done_;
  if (finished) compare();
  observer_.stop();
  if (!requests_.come_to_rest())
    return make_error(Errc::mismatch, "cancelled requests still run after {} steps", kRestSteps);
  if (result_.difference) return std::move(result_);
  if (!finished) {
    result_.difference =
        broken("events", fmt::format("the probe had not ended after {} steps", requests_.steps()));
  } else if (requests_.wrong()) {
    result_.difference = broken("events", *requests_.wrong());
  } else if (const Status books = engine_.check_books(); !books) {
    result_.difference = broken("books", books.error().message);
  }
  return std::move(result_);
}

}  // namespace

Result<TrialResult> run_trial(Engine& engine, ProbeObserver& observer, const Trial& trial, const Probe& probe,
                              const Baseline& baseline, const ModelShape& shape,
                              const std::atomic<bool>* cancel) {
  return TrialRun(engine, observer, trial, probe, baseline, shape, cancel).run();
}

}  // namespace headrace::exactness
