// Claim: scheduling 256 sequences takes less than 100 us a step, and a step with 64 rows spends at most 3 %
// outside ops.
//
//   bench_overhead MODEL [THREADS]
//
// First the scheduler alone: 256 sequences of 200 to 999 tokens that decode; each step takes a snapshot,
// plans, applies the plan, reserves pages, builds and uploads the attention plan and commits. Then steps of
// the model with 64 sequences: the share of a step outside the backend's ops, greedy and with the default
// sampling. One line of JSON each.
#include <cstring>

#include "engine/lineup.h"
#include "ops/traced_backend.h"
#include "world.h"

namespace headrace::bench {
namespace {

constexpr uint32_t kPageTokens = 64;
constexpr size_t kTraceEvents = size_t{1} << 20;

struct Split {
  double plan = 0;    // snapshot, policy, applying it
  double pages = 0;   // reserve and commit
  double upload = 0;  // attention plan
};

Result<Split> schedule(uint32_t sequences, uint32_t steps) {
  MemoryLedger ledger(available_memory_bytes());
  HEADRACE_TRY(auto backend, best_backend(1));
  // Shapes as small as they go: only the books are measured.
  const std::vector<LayerGroup> groups = {
      {.name = "full", .n_layers = 1, .n_kv_heads = 1, .d_head = 1},
      {.name = "window", .n_layers = 1, .n_kv_heads = 1, .d_head = 1, .window = 512}};
  HEADRACE_TRY(StateStore store, StateStore::create(*backend, ledger, groups,
                                                    {.format = {.page_tokens = kPageTokens},
                                                     .sequences = sequences,
                                                     .context = 2048,
                                                     .max_rows = 1024}));
  Lineup lineup(store);
  for (uint32_t i = 0; i < sequences; ++i) {
    auto choice = std::make_unique<Choice>();
    Request request;
    for (uint32_t t = 0; t < 200 + i * 17 % 800; ++t)
      request.prompt.push_back(static_cast<int32_t>(t * 31 + i));
    request.max_new_tokens = 4096;
    choice->place = {0, i + 1};
    choice->tokens = request.prompt;
    choice->page_keys =
        std::make_shared<const std::vector<uint64_t>>(page_keys_of(0, request.prompt, kPageTokens));
    choice->next_score = static_cast<uint32_t>(request.prompt.size());
    choice->asked = std::make_shared<const Request>(std::move(request));
    lineup.add(std::move(choice));
  }
  const StepLimits limits = {.rows = 1024, .sequences = sequences};
  const ContinuousBatching policy;
  std::vector<StepChunk> chunks;
  std::vector<Row> rows;
  Split split;
  uint32_t measured = 0;
  for (uint64_t step = 0; measured < steps; ++step) {
    const Clock::time_point begin = Clock::now();
    lineup.apply(policy.plan(lineup.snapshot(limits, kPageTokens)), limits, step, chunks);
    const Clock::time_point planned = Clock::now();
    rows.clear();
    for (const StepChunk& chunk : chunks) {
      const Choice& choice = *lineup.running()[chunk.index];
      const uint32_t computed = store.length(*choice.sequence);
      HEADRACE_CHECK(store.reserve(*choice.sequence, computed + chunk.count));
      for (uint32_t p = computed; p < computed + chunk.count; ++p) {
        rows.push_back({.token = choice.tokens[p], .sequence = *choice.sequence, .position = p, .slot = p});
      }
    }
    const Clock::time_point reserved = Clock::now();
    store.plan(rows);
    const Clock::time_point uploaded = Clock::now();
    const bool decode = rows.size() == sequences && chunks.size() == sequences;
    for (const StepChunk& chunk : chunks) {
      Choice& choice = *lineup.running()[chunk.index];
      const uint32_t computed = store.length(*choice.sequence);
      store.commit(*choice.sequence, std::span(choice.tokens).subspan(computed, chunk.count));
      if (computed + chunk.count == choice.tokens.size())
        choice.tokens.push_back(static_cast<int32_t>(step % 1000));
    }
    const Clock::time_point end = Clock::now();
    if (!decode) continue;  // prompts are still being read
    ++measured;
    const auto add = [](double& sum, Clock::time_point from, Clock::time_point to) {
      sum += std::chrono::duration<double>(to - from).count();
    };
    add(split.plan, begin, planned);
    add(split.pages, planned, reserved);
    add(split.upload, reserved, uploaded);
    add(split.pages, uploaded, end);
  }
  lineup.remove_if([](const Choice&) { return true; }, [](const Choice&) {});
  for (double* sum : {&split.plan, &split.pages, &split.upload}) *sum *= 1e6 / steps;
  return split;
}

Status steps_of_64(const char* path, size_t threads, bool greedy) {
  HEADRACE_TRY(auto inner, best_backend(threads));
  Trace trace(kTraceEvents);
  HEADRACE_TRY(World world, open(path, make_traced_backend(std::move(inner), trace),
                                 {.context = 512, .sequences = 64, .trace = &trace}));
  Engine& engine = *world.engine;
  for (uint32_t i = 0; i < 64; ++i) {
    Request request;
    request.prompt = text(engine, 128, i);
    request.max_new_tokens = 200;
    if (greedy) request.sampling.temperature = 0;
    request.sampling.seed = i;
    HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  }
  std::vector<Event> events;
  // Until every prompt has been read.
  while (engine.stats().last_step_rows != 64 || engine.stats().waiting > 0) engine.step(events);
  trace.clear();
  constexpr uint32_t kSteps = 60;
  for (uint32_t i = 0; i < kSteps; ++i) {
    events.clear();
    engine.step(events);
    if (engine.stats().last_step_rows != 64)
      return make_error(Errc::io, "a step of {} rows", engine.stats().last_step_rows);
  }
  const TraceSummary summary = summary_of(trace);
  if (summary.steps != kSteps) return make_error(Errc::io, "the trace was full");
  const double in_steps = static_cast<double>(summary.step_ns) / 1e9;
  const double outside = static_cast<double>(summary.step_ns - summary.op_ns) / 1e9;
  fmt::print(
      "{{\"model\": \"{}\", \"backend\": \"{}\", \"threads\": {}, \"rows\": 64, \"sampling\": \"{}\", "
      "\"step_ms\": {:.3f}, "
      "\"outside_ops_us\": {:.1f}, \"outside_ops_share\": {:.4f}}}\n",
      printable(path), engine.backend().name(), threads, greedy ? "greedy" : "default",
      in_steps / kSteps * 1e3, outside / kSteps * 1e6, outside / in_steps);
  return {};
}

Status run(int argc, char** argv) {
  for (const uint32_t sequences : {64U, 256U}) {
    HEADRACE_TRY(const Split split, schedule(sequences, 1000));
    fmt::print(
        "{{\"sequences\": {}, \"schedule_us\": {:.1f}, \"pages_us\": {:.1f}, \"attention_plan_us\": {:.1f}, "
        "\"together_us\": {:.1f}}}\n",
        sequences, split.plan, split.pages, split.upload, split.plan + split.pages + split.upload);
  }
  const size_t threads = threads_from(argc, argv, 2);
  HEADRACE_RETURN_IF_ERROR(steps_of_64(argv[1], threads, true));
  return steps_of_64(argv[1], threads, false);
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_overhead MODEL [THREADS]\n");
    return 2;
  }
  return headrace::bench::finish("bench_overhead", headrace::bench::run(argc, argv));
}
