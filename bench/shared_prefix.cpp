// Claim: requests that arrive together compute the prefix that they share once.
//
//   bench_shared_prefix MODEL [THREADS [REQUESTS [SHARED_TOKENS]]]
//
// All requests (64, sharing 1,500 tokens, with 16 of their own and 16 greedy tokens) are submitted before the
// first step. Counts the rows of prompt tokens that layer 0 ran, with the prefix cache and without, and the
// wall time.
#include "world.h"

namespace headrace::bench {
namespace {

constexpr size_t kOwn = 16;
constexpr uint32_t kNew = 16;

struct Outcome {
  double seconds = 0;
  uint64_t prompt_rows = 0;
  uint64_t reused = 0;
  std::vector<int32_t> tokens;
};

Result<Outcome> measure(Engine& engine, uint32_t requests, size_t shared, bool cache) {
  StepLimits limits = engine.limits();
  limits.prefix_cache = cache;
  engine.set_limits(limits);
  engine.clear_cache();
  const EngineStats before = engine.stats();
  const Clock::time_point begin = Clock::now();
  for (uint32_t i = 0; i < requests; ++i) {
    Request request;
    request.prompt = text(engine, shared, 0);
    const std::vector<int32_t> own = text(engine, kOwn, i + 1);
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    request.max_new_tokens = kNew;
    request.sampling.temperature = 0;
    HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  }
  std::vector<Event> events;
  while (!engine.idle()) engine.step(events);
  Outcome outcome;
  outcome.seconds = seconds_since(begin);
  outcome.prompt_rows = engine.stats().prompt_rows - before.prompt_rows;
  outcome.reused = engine.stats().reused_tokens - before.reused_tokens;
  std::ranges::stable_sort(events, {}, [](const Event& e) { return e.request; });
  for (const Event& event : events) outcome.tokens.push_back(event.draw.token);
  return outcome;
}

Status run(int argc, char** argv) {
  const size_t threads = threads_from(argc, argv, 2);
  const auto requests = static_cast<uint32_t>(argc > 3 ? std::atoi(argv[3]) : 64);
  const size_t shared = argc > 4 ? static_cast<size_t>(std::atoi(argv[4])) : 1500;
  HEADRACE_TRY(auto backend, best_backend(threads));
  HEADRACE_TRY(World world,
               open(argv[1], std::move(backend),
                    {.context = static_cast<uint32_t>(shared + kOwn + kNew), .sequences = requests}));
  HEADRACE_TRY(const Outcome with, measure(*world.engine, requests, shared, true));
  HEADRACE_TRY(const Outcome without, measure(*world.engine, requests, shared, false));
  const uint64_t expected = shared + requests * kOwn;
  fmt::print(
      "{{\"model\": \"{}\", \"backend\": \"{}\", \"threads\": {}, \"requests\": {}, \"shared_tokens\": {}, "
      "\"own_tokens\": {}, \"unique_plus_own\": {}, \"prompt_rows\": {}, \"prompt_rows_cache_off\": {}, "
      "\"seconds\": {:.3f}, \"seconds_cache_off\": {:.3f}, \"speedup\": {:.2f}, \"same_answers\": {}}}\n",
      printable(argv[1]), world.engine->backend().name(), threads, requests, shared, kOwn, expected,
      with.prompt_rows, without.prompt_rows, with.seconds, without.seconds, without.seconds / with.seconds,
      with.tokens == without.tokens);
  if (with.prompt_rows != expected || with.tokens != without.tokens) {
    return make_error(Errc::io, "{} prompt rows, expected {}", with.prompt_rows, expected);
  }
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_shared_prefix MODEL [THREADS [REQUESTS [SHARED_TOKENS]]]\n");
    return 2;
  }
  return headrace::bench::finish("bench_shared_prefix", headrace::bench::run(argc, argv));
}
