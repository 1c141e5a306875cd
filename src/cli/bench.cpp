// headrace bench: how fast a model runs here, in llama-bench's terms, and what this machine could do at best.
//
// docs/bench.md says what is measured.
#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "cli/bench_list.h"
#include "cli/bench_model.h"
#include "cli/bench_report.h"
#include "cli/bench_speed.h"
#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/processor.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/system_memory.h"
#include "core/threads.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kMaxTokens = kMaxContext;
constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxRows = 1 << 16;
constexpr uint32_t kMaxRepetitions = 1000000;
constexpr uint32_t kMaxDelay = 86400;
constexpr size_t kMaxTests = 4096;
constexpr uint32_t kDefaultBatch = 2048;
constexpr uint32_t kDefaultUbatch = 512;
constexpr std::chrono::milliseconds kInterruptCheck{50};

struct BenchFlags {
  ModelFlags model;
  EngineFlags engine;
  std::vector<uint32_t> n_prompt = {512};
  std::vector<uint32_t> n_gen = {128};
  std::vector<PromptAndAnswer> n_pg;
  std::vector<uint32_t> n_depth = {0};
  std::vector<uint32_t> n_batch = {kDefaultBatch};
  std::vector<uint32_t> n_ubatch = {kDefaultUbatch};
  std::vector<uint32_t> n_threads = {0};
  uint32_t repetitions = 5;
  uint32_t delay = 0;
  std::string output = "md";
  bool no_ceilings = false;
  bool progress = false;
};

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

Status measure_machine(const BenchFlags& flags, BenchFacts& facts) {
  HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
  facts.processor = processor_name();
  facts.kernels = cpu::name_of(tier);
  MemoryLedger ledger(std::min(flags.engine.memory, available_memory_bytes()));
  for (const uint32_t threads : flags.n_threads) {
    if (flags.no_ceilings || facts.ceilings_of(threads) != nullptr) continue;
    if (interrupted()) return make_error(Errc::cancelled, "interrupted");
    HEADRACE_TRY(const cpu::Ceilings ceilings,
                 cpu::measure_ceilings(*cpu::kernel_table(tier), threads, ledger));
    facts.ceilings.push_back(ceilings);
  }
  return {};
}

void describe(const BenchFlags& flags, const ModelFile& file, const ModelInfo& info, BenchFacts& facts) {
  facts.version = HEADRACE_VERSION;
  facts.model_filename = printable(file.name(), 4096);
  facts.model_type = model_type_text(file, info);
  facts.model_size = tensor_bytes(file);
  facts.model_parameters = info.parameters;
  facts.weights_per_token = weights_per_token(file, info);
  const auto lower = [](DType type) {
    std::string name(name_of(type));
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return name;
  };
  facts.type_k = lower(flags.engine.key_type);
  facts.type_v = lower(flags.engine.value_type);
  if (flags.engine.activations == ActivationNumerics::f32) facts.numerics += ", f32 activations";
  facts.show_batch = flags.n_batch != std::vector{kDefaultBatch};
  facts.show_ubatch = flags.n_ubatch != std::vector{kDefaultUbatch};
  facts.show_type_k = flags.engine.key_type != DType::F16;
  facts.show_type_v = flags.engine.value_type != DType::F16;
}

// Nothing is printed while waiting; Ctrl-C ends it.
void cool_off(uint32_t seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < until && !interrupted())
    std::this_thread::sleep_for(kInterruptCheck);
}

BenchFormat format_of(const std::string& name) {
  if (name == "csv") return BenchFormat::csv;
  if (name == "json") return BenchFormat::json;
  return name == "jsonl" ? BenchFormat::jsonl : BenchFormat::md;
}

// What was measured is printed, whatever ends the tests.
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
    cool_off(flags.delay);
    SpeedResult result;
    const Status measured = measure_speed(*model.engine, tests[i], options, result);
    if (!result.samples_ns.empty()) HEADRACE_RETURN_IF_ERROR(write_out(report.line(result)));
    HEADRACE_RETURN_IF_ERROR(measured);
  }
  return {};
}

Status bench(BenchFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  for (uint32_t& threads : flags.n_threads) {
    if (threads == 0) threads = static_cast<uint32_t>(default_thread_count());
  }
  HEADRACE_TRY(const std::vector<SpeedTest> tests, tests_of(flags));
  HEADRACE_TRY(const EngineFlags engine, engine_for(flags, tests));
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  BenchFacts facts;
  // Before the model takes memory.
  HEADRACE_RETURN_IF_ERROR(measure_machine(flags, facts));
  HEADRACE_TRY(OpenModel model, open_model(flags.model, engine));
  describe(flags, file, model.engine->model().info(), facts);
  if (flags.progress) {
    note(fmt::format("bench: context {} tokens, memory {} of {}", model.engine->context(),
                     human_bytes(model.ledger->used()), human_bytes(model.ledger->cap())));
  }
  SpeedReport report(format_of(flags.output), std::move(facts));
  HEADRACE_RETURN_IF_ERROR(write_out(report.begin()));
  const Status done = run_tests(flags, tests, model, report);
  HEADRACE_RETURN_IF_ERROR(write_out(report.end()));
  return done;
}

void add_test_flags(CLI::App& verb, BenchFlags& flags) {
  begin_group(verb, "Tests");
  add_numbers(verb, "--n-prompt,-p", flags.n_prompt, 0, kMaxTokens,
              "Tokens of prompts to read; 0: none [512]");
  add_numbers(verb, "--n-gen,-n", flags.n_gen, 0, kMaxTokens, "Tokens to generate; 0: none [128]");
  verb.add_option_function<std::vector<std::string>>(
          "--pg",
          [&flags](const std::vector<std::string>& texts) {
            for (const std::string& text : texts)
              flags.n_pg.push_back(parse_prompt_and_answer(text, kMaxTokens).value());
          },
          "Tokens to read and then to generate, timed together: 512,128 (also -pg); may be repeated")
      ->check([](const std::string& text) {
        const Result<PromptAndAnswer> parsed = parse_prompt_and_answer(text, kMaxTokens);
        return parsed ? std::string() : parsed.error().message;
      })
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("PP,TG");
  add_numbers(verb, "--n-depth,-d", flags.n_depth, 0, kMaxTokens,
              "Tokens in the cache before each test, not timed [0]");
  add_number(verb, "--repetitions,-r", flags.repetitions, 1U, kMaxRepetitions, "Of each test [5]",
             "1 to 1000000");
  add_number(verb, "--delay", flags.delay, 0U, kMaxDelay, "Seconds to wait before each test [0]",
             "0 to 86400");
  verb.add_flag("--no-warmup", flags.engine.no_warmup, "Time the first run of each test, too");
  verb.add_flag("--no-ceilings", flags.no_ceilings, "Don't measure what the machine could do at best");
}

}  // namespace

void register_bench(CLI::App& app, Action& action) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App& verb = *app.add_subcommand("bench", "Measure how fast a model runs, as llama-bench does");
  add_model_flag(verb, flags->model);
  add_test_flags(verb, *flags);
  begin_group(verb, kEngineGroup);
  add_numbers(verb, "--threads,-t", flags->n_threads, 0, kMaxThreads, "Threads; 0: as many as cores [0]");
  add_numbers(verb, "--batch-size,-b", flags->n_batch, 1, kMaxRows, "Prompt tokens queued at once [2048]");
  add_numbers(verb, "--ubatch-size", flags->n_ubatch, 1, kMaxRows,
              "Of those, computed in one step (also -ub) [512]");
  add_arithmetic_flags(verb, flags->engine);
  add_memory_flag(verb, flags->engine);
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_option("--output,-o", flags->output, "Format of the table [md]")
      ->check([](const std::string& text) {
        const bool known = text == "md" || text == "csv" || text == "json" || text == "jsonl";
        return known ? std::string() : "expected md, csv, json or jsonl, found '" + text + "'";
      })
      ->type_name("md|csv|json|jsonl");
  verb.add_flag("--progress,--verbose,-v", flags->progress, "Tell on standard error what is being measured");
  verb.footer(
      "\nA LIST is 128,512 or 1-4 or 128-1024+128 or 1-64*2.\n\n"
      "Example:\n  headrace bench -m smollm2:135m -p 512 -n 128 -d 0,4096 -o json\n");
  verb.callback([flags, &action] { action = [flags] { return bench(*flags); }; });
}

}  // namespace headrace::cli
