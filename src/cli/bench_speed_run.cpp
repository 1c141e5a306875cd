// headrace bench without --batched: from flags to llama-bench's table.
#include <algorithm>

#include "cli/bench_speed.h"
#include "cli/bench_world.h"
#include "cli/interrupt.h"

namespace headrace::cli {
namespace {

// In llama-bench's order.
Result<std::vector<SpeedTest>> tests_of(const BenchFlags& flags) {
  std::vector<SpeedTest> tests;
  const auto add = [&](SpeedTest test, uint32_t n_prompt, uint32_t n_gen) {
    test.n_prompt = n_prompt;
    test.n_gen = n_gen;
    if (n_prompt + n_gen > 0 && tests.size() <= kMaxTests) tests.push_back(test);
  };
  for (const uint32_t n_batch : flags.n_batch) {
    for (const uint32_t n_ubatch : flags.n_ubatch) {
      for (const uint32_t n_threads : flags.n_threads) {
        for (const uint32_t n_depth : flags.n_depth) {
          const SpeedTest test = {
              .n_depth = n_depth, .n_batch = n_batch, .n_ubatch = n_ubatch, .n_threads = n_threads};
          for (const uint32_t n_prompt : flags.n_prompt) add(test, n_prompt, 0);
          for (const uint32_t n_gen : flags.n_gen) add(test, 0, n_gen);
          for (const PromptAndAnswer& pg : flags.n_pg) add(test, pg.prompt, pg.answer);
        }
      }
    }
  }
  if (tests.empty()) return make_error(Errc::usage, "nothing to measure: -p, -n and -pg are all 0");
  if (tests.size() > kMaxTests) return make_error(Errc::usage, "more than {} tests", kMaxTests);
  return tests;
}

// Such that every test fits.
Result<EngineFlags> engine_for(const BenchFlags& flags, const std::vector<SpeedTest>& tests) {
  EngineFlags engine = flags.engine;
  engine.no_warmup = true;  // each test has its own
  engine.threads = 1;
  engine.batch_rows = 1;
  uint64_t context = 0;
  for (const SpeedTest& test : tests) {
    context = std::max(context, test.context());
    engine.threads = std::max(engine.threads, test.n_threads);
    engine.batch_rows = std::max(engine.batch_rows, test.rows());
  }
  if (context > kMaxContext) {
    return make_error(Errc::usage, "a test of {} tokens is beyond the limit of {}", context, kMaxContext);
  }
  engine.context = static_cast<uint32_t>(context);
  return engine;
}

BenchFormat format_of(const std::string& name) {
  if (name == "csv") return BenchFormat::csv;
  if (name == "json") return BenchFormat::json;
  return name == "jsonl" ? BenchFormat::jsonl : BenchFormat::md;
}

Status run_tests(const BenchFlags& flags, const std::vector<SpeedTest>& tests, OpenModel& model,
                 SpeedReport& report) {
  SpeedOptions options = {.repetitions = flags.repetitions, .warm_up = !flags.engine.no_warmup};
  if (adds_bos(model.tokenizer)) options.bos = model.tokenizer.bos();
  for (size_t i = 0; i < tests.size(); ++i) {
    if (flags.progress) {
      options.on_news = [&](const std::string& news) {
        note(fmt::format("bench: test {}/{}: {}: {}", i + 1, tests.size(), tests[i].name(), news));
      };
    }
    cool_off(flags);
    SpeedResult result;
    const Status measured = measure_speed(*model.engine, tests[i], options, result);
    if (!result.samples_ns.empty()) HEADRACE_RETURN_IF_ERROR(write_out(report.line(result)));
    HEADRACE_RETURN_IF_ERROR(measured);
  }
  return {};
}

}  // namespace

Status bench_speed(const BenchFlags& flags) {
  HEADRACE_TRY(const std::vector<SpeedTest> tests, tests_of(flags));
  HEADRACE_TRY(const EngineFlags engine, engine_for(flags, tests));
  HEADRACE_TRY(BenchWorld world, open_bench(flags, engine));
  SpeedReport report(format_of(flags.output), std::move(world.facts));
  HEADRACE_RETURN_IF_ERROR(write_out(report.begin()));
  const Status done = run_tests(flags, tests, world.model, report);
  HEADRACE_RETURN_IF_ERROR(write_out(report.end()));
  return done;
}

}  // namespace headrace::cli
