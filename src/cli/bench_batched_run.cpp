// headrace bench --batched: from flags to llama-batched-bench's table.
#include <algorithm>
#include <memory>

#include "cli/bench_batched.h"
#include "cli/bench_world.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kPageTokens = 64;  // EngineOptions::page_tokens

// In llama-batched-bench's order; what would not fit -c is left out, as there.
Result<std::vector<BatchedCase>> cases_of(const BenchFlags& flags) {
  std::vector<BatchedCase> cases;
  for (const uint32_t pp : flags.n_pp) {
    for (const uint32_t tg : flags.n_tg) {
      for (const uint32_t pl : flags.n_pl) {
        const BatchedCase batched = {.pp = pp, .tg = tg, .pl = pl, .shared = flags.pp_shared};
        if (flags.kv_tokens > 0 && batched.kv_tokens() > flags.kv_tokens) {
          note(fmt::format("bench: -npp {} -ntg {} -npl {} is left out: its {} tokens are more than -c {}",
                           pp, tg, pl, batched.kv_tokens(), flags.kv_tokens));
          continue;
        }
        if (uint64_t{pp} + tg + 1 > kMaxContext) {
          return make_error(Errc::usage, "a sequence of {} tokens is beyond the limit of {}",
                            uint64_t{pp} + tg + 1, kMaxContext);
        }
        cases.push_back(batched);
        if (cases.size() > kMaxTests) return make_error(Errc::usage, "more than {} tests", kMaxTests);
      }
    }
  }
  if (cases.empty())
    return make_error(Errc::usage, "nothing to measure: no test fits -c {}", flags.kv_tokens);
  return cases;
}

Result<BatchedSettings> settings_of(const BenchFlags& flags, const std::vector<BatchedCase>& cases) {
  if (flags.n_threads.size() > 1 || flags.n_batch.size() > 1 || flags.n_ubatch.size() > 1) {
    return make_error(Errc::usage, "--batched takes one number for -t, -b and -ub each");
  }
  if (flags.output != "md" && flags.output != "jsonl") {
    return make_error(Errc::usage, "--output: --batched prints md or jsonl, not {}", flags.output);
  }
  BatchedSettings settings = {.n_kv_max = flags.kv_tokens,
                              .n_batch = flags.n_batch.front(),
                              .n_ubatch = flags.n_ubatch.front(),
                              .n_threads = flags.n_threads.front(),
                              .shared = flags.pp_shared};
  if (settings.n_kv_max > 0) return settings;
  for (const BatchedCase& batched : cases)
    settings.n_kv_max = std::max(settings.n_kv_max, batched.kv_tokens());
  return settings;
}

EngineFlags engine_for(const BenchFlags& flags, const BatchedSettings& settings,
                       const std::vector<BatchedCase>& cases) {
  EngineFlags engine = flags.engine;
  engine.threads = settings.n_threads;
  engine.batch_rows = std::min(settings.n_batch, settings.n_ubatch);
  engine.no_warmup = true;
  engine.policy = std::make_shared<Lockstep>();
  for (const BatchedCase& batched : cases) {
    engine.context = std::max(engine.context, batched.context());
    engine.sequences = std::max(engine.sequences, batched.pl);
    engine.kv_tokens = std::max(engine.kv_tokens, batched.kv_tokens_in_pages(kPageTokens));
  }
  engine.kv_tokens = std::max<uint64_t>(engine.kv_tokens, engine.context);
  return engine;
}

Status run_cases(const BenchFlags& flags, const std::vector<BatchedCase>& cases, Engine& engine,
                 const BenchFacts& facts, const BatchedSettings& settings) {
  constexpr BatchedCase kWarmUp = {.pp = 16, .tg = 1, .pl = 1};
  if (!flags.engine.no_warmup && engine.context() >= kWarmUp.context()) {
    HEADRACE_RETURN_IF_ERROR(measure_batched(engine, kWarmUp));
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    if (flags.progress) note(fmt::format("bench: test {}/{}", i + 1, cases.size()));
    cool_off(flags);
    HEADRACE_TRY(const BatchedResult result, measure_batched(engine, cases[i]));
    HEADRACE_RETURN_IF_ERROR(
        write_out(flags.output == "jsonl" ? batched_json(facts, settings, result) : batched_line(result)));
  }
  return {};
}

}  // namespace

Status bench_batched(const BenchFlags& flags) {
  HEADRACE_TRY(const std::vector<BatchedCase> cases, cases_of(flags));
  HEADRACE_TRY(const BatchedSettings settings, settings_of(flags, cases));
  HEADRACE_TRY(const BenchWorld world, open_bench(flags, engine_for(flags, settings, cases)));
  const bool table = flags.output == "md";
  if (table) HEADRACE_RETURN_IF_ERROR(write_out(batched_header(settings)));
  const Status done = run_cases(flags, cases, *world.model.engine, world.facts, settings);
  if (table) HEADRACE_RETURN_IF_ERROR(write_out(footer_text(world.facts)));
  return done;
}

}  // namespace headrace::cli
