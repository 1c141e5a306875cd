// headrace bench: how fast a model runs here, in llama-bench's terms, and what this machine could do at best.
//
// docs/bench.md says what is measured.
#include <memory>

#include "cli/bench_world.h"
#include "cli/trace_file.h"
#include "cli/verbs.h"
#include "core/log.h"
#include "core/threads.h"

namespace headrace::cli {
namespace {

constexpr float kMaxBenchTemperature = 100;

constexpr uint32_t kMaxTokens = kMaxContext;
constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxRows = 1 << 16;
constexpr uint32_t kMaxRepetitions = 1000000;
constexpr uint32_t kMaxDelay = 86400;
constexpr uint32_t kMaxSequences = 4096;

Status bench(BenchFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  for (uint32_t& threads : flags.n_threads) {
    if (threads == 0) threads = static_cast<uint32_t>(default_thread_count());
  }
  HEADRACE_TRY(const TraceFile trace, TraceFile::open(flags.trace));
  flags.engine.trace = trace.trace();
  const Status done = !flags.schedules.empty() ? bench_schedules(flags)
                      : !flags.prompts.empty() ? bench_drafts(flags)
                      : flags.batched          ? bench_batched(flags)
                                               : bench_speed(flags);
  // Also of what was interrupted; but there is nothing to see in a trace of an error.
  if (done || done.error().code == Errc::cancelled) HEADRACE_RETURN_IF_ERROR(trace.finish(flags.model.quiet));
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

void add_batched_flags(CLI::App& verb, BenchFlags& flags) {
  begin_group(verb, "Batches");
  CLI::Option* batched =
      verb.add_flag("--batched", flags.batched, "Several sequences at once, as llama-batched-bench measures");
  for (const char* other : {"--n-prompt", "--n-gen", "--pg", "--n-depth", "--repetitions"})
    batched->excludes(verb.get_option(other));
  add_numbers(verb, "--npp", flags.n_pp, 1, kMaxTokens, "Tokens of each prompt (also -npp) [128]")
      ->needs(batched);
  add_numbers(verb, "--ntg", flags.n_tg, 1, kMaxTokens, "Tokens of each answer (also -ntg) [128]")
      ->needs(batched);
  add_numbers(verb, "--npl", flags.n_pl, 1, kMaxSequences, "Sequences (also -npl) [1,2,4,8]")->needs(batched);
  verb.add_flag("--pps", flags.pp_shared, "All have the same prompt, computed once (also -pps)")
      ->needs(batched);
  verb.add_flag("--no-key-sharing", flags.engine.no_key_sharing,
                "Each sequence reads for itself what it shares with others");
  add_number(verb, "--ctx-size,-c", flags.kv_tokens, 0U, std::numeric_limits<uint32_t>::max(),
             "Leave out what holds more tokens in all; 0: nothing [0]", "0 to 4294967295")
      ->needs(batched);
}

void add_draft_flags(CLI::App& verb, BenchFlags& flags) {
  add_speculation_flags(verb, flags.engine.speculation);
  CLI::Option* prompts =
      verb.add_option(
              "--prompts", flags.prompts,
              "Answer real prompts with and without drafts, -n tokens each: lines of JSON with a prompt, a "
              "question or turns, and a category")
          ->type_name(kFileValue)
          ->excludes(verb.get_option("--batched"));
  verb.add_option(
          "--spec-sched", flags.schedules,
          "Compare ways to run batches with drafts: ragged (rows of any length), static (the same, no "
          "refill), exspec (a pool, equal lengths together), eqspec (padded)")
      ->needs(prompts)
      ->delimiter(',')
      ->check([](const std::string& text) {
        return text == "static" || is_schedule(text)
                   ? std::string()
                   : "expected some of ragged,static,exspec,eqspec, found '" + text + "'";
      })
      ->type_name("LIST");
  add_window_flag(verb, flags.engine.speculation);
  add_numbers(verb, "--parallel", flags.n_parallel, 1, kMaxSequences, "Answers written at once [1]")
      ->needs(prompts);
  verb.add_option("--category", flags.categories, "Only prompts of this one; may be repeated")
      ->needs(prompts)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("NAME");
  add_number(verb, "--temp", flags.temperature, 0.0F, kMaxBenchTemperature,
             "Temperature of the answers, each with a seed of its own [0]", "0 to 100")
      ->needs(prompts);
  add_number(verb, "--most-prompts", flags.most_prompts, 0U, kMaxTokens, "Of a category; 0: all [0]",
             "0 or more")
      ->needs(prompts);
  add_number(verb, "--prompt-context", flags.prompt_context, 16U, kMaxTokens,
             "Tokens of prompt and answer at most [2048]", "16 or more")
      ->needs(prompts);
}

}  // namespace

void register_bench(CLI::App& app, Action& action) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App& verb = *app.add_subcommand("bench", "Measure how fast a model runs, as llama-bench does");
  add_model_flag(verb, flags->model);
  add_test_flags(verb, *flags);
  add_batched_flags(verb, *flags);
  add_draft_flags(verb, *flags);
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
  add_trace_flag(verb, flags->trace);
  verb.add_flag("--progress,--verbose,-v", flags->progress, "Tell on standard error what is being measured");
  verb.footer(
      "\nA LIST is 128,512 or 1-4 or 128-1024+128 or 1-64*2.\n\n"
      "Examples:\n  headrace bench -m smollm2:135m -p 512 -n 128 -d 0,4096 -o json\n"
      "  headrace bench -m smollm2:135m --batched -npp 128 -ntg 128 -npl 1-64*2\n");
  verb.callback([flags, &action] { action = [flags] { return bench(*flags); }; });
}

}  // namespace headrace::cli
