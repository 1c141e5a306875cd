// Requests of exactness.h alone: the answers that trials are compared with, and the window's edge.
#include <algorithm>

#include "exactness/requests.h"
#include "exactness/run.h"

namespace headrace::exactness {
namespace {

StepLimits alone_limits() {
  return {.rows = kBatchRows,
          .sequences = 1,
          .decode_threads = 1,
          .batch_threads = 1,
          .prefix_cache = false,
          .drafts = false};
}

}  // namespace

Result<Baseline> answer_alone(Engine& engine, ProbeObserver& observer, const Request& request,
                              const ModelShape& shape, const std::atomic<bool>* cancel) {
  engine.set_limits(alone_limits());
  engine.clear_cache();
  Baseline baseline;
  const auto prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  baseline.layers = LayerHashes(prompt_tokens + request.max_new_tokens, shape.layers);
  Requests requests(engine);
  HEADRACE_TRY(const RequestId id, requests.submit(request));
  observer.record(id, 0, prompt_tokens, baseline.layers);
  std::vector<Event> events;
  while (requests.running(id) && requests.steps() < requests.most_steps() && !is_set(cancel)) {
    requests.step(events);
    for (const Event& event : events) baseline.answer.add(event, request.sampling);
  }
  observer.stop();
  if (is_set(cancel)) return make_error(Errc::cancelled, "interrupted");
  if (!requests.come_to_rest() || requests.wrong() || baseline.answer.finished == FinishReason::none) {
    return make_error(Errc::mismatch, "a request alone: {}",
                      requests.wrong().value_or(fmt::format("not ended after {} steps", requests.steps())));
  }
  HEADRACE_RETURN_IF_ERROR(engine.check_books());
  return baseline;
}

Result<WindowCheck> check_window(Engine& engine, ProbeObserver& observer, const ExactnessOptions& options,
                                 const ModelShape& shape) {
  WindowCheck check;
  constexpr uint32_t kBeyond = 66;
  const uint32_t window = shape.window;
  if (window == 0 || window + kBeyond > shape.longest) return check;
  Random random(mix(options.seed, 0x77696E646F77U));
  Request request;
  request.prompt = PromptSource(options, shape.vocab).cut(random, window + kBeyond, true);
  HEADRACE_TRY(const Baseline plain, answer_alone(engine, observer, request, shape, options.cancel));
  // How far on, at most, the first layer still saw a token that was changed.
  uint32_t reach = 0;
  bool to_the_end = true;
  for (const uint32_t changed : {1U, 17U, 33U, 60U}) {
    Request other = request;
    const int32_t old = other.prompt[changed];
    while (other.prompt[changed] == old && shape.vocab > 1)
      other.prompt[changed] = static_cast<int32_t>(random.below(shape.vocab));
    HEADRACE_TRY(const Baseline found, answer_alone(engine, observer, other, shape, options.cancel));
    uint32_t last = changed;
    for (uint32_t p = changed; p < other.prompt.size(); ++p)
      if (plain.layers.at(p, 0) != found.layers.at(p, 0)) last = p;
    reach = std::max(reach, last - changed);
    to_the_end = to_the_end && last + 1 == other.prompt.size();
  }
  if (to_the_end) return check;
  check.checked = true;
  if (reach + 1 == window) return check;
  ExactnessDifference difference;
  difference.kind = "window";
  difference.layer = 0;
  difference.what =
      fmt::format("layer 0 sees the last {} positions, the model's window has {}", reach + 1, window);
  check.difference = std::move(difference);
  return check;
}

}  // namespace headrace::exactness
