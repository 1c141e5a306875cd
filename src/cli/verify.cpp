// headrace verify: the same request gives the same bits, shown on the user's own model and prompts.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_input.h"
#include "cli/verbs.h"
#include "cli/verify_report.h"
#include "core/log.h"
#include "core/system_memory.h"
#include "core/threads.h"
#include "decode/draft.h"
#include "exactness/exactness.h"
#include "ops/cpu/cpu_backend.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kLeastThreads = 2;
constexpr uint32_t kMostThreads = 256;
constexpr uint32_t kMaxTrials = 1000000;

struct VerifyFlags {
  ModelFlags model;
  EngineFlags engine;
  TextFlags text;
  uint32_t trials = 200;
  uint32_t threads = std::clamp(static_cast<uint32_t>(default_thread_count()), kLeastThreads, kMostThreads);
  uint64_t seed = 1;
  std::optional<uint32_t> trial;
  std::string tiers;
  std::string spec_type = "none";
  uint32_t draft_most = 4;
  uint32_t draft_branches = 1;
  std::string draft_model;
  bool json = false;
};

// --tiers, or the one that HEADRACE_CPU forces, or all that this machine has; the best first, which answers
// fastest.
Result<std::vector<cpu::Tier>> chosen_tiers(const std::string& list, Numerics numerics) {
  std::vector<cpu::Tier> tiers;
  if (list.empty() && numerics == Numerics::machine) {
    HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
    return std::vector<cpu::Tier>{tier};
  }
  if (list.empty()) {
    const char* forced = std::getenv("HEADRACE_CPU");
    if (forced != nullptr && *forced != '\0') {
      HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
      return std::vector<cpu::Tier>{tier};
    }
    tiers = cpu::available_tiers();
  }
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const Result<cpu::Tier> tier = cpu::choose_tier(list.substr(begin, end - begin));
    if (!tier || end == begin) {
      return make_error(Errc::usage, "--tiers: {}", tier ? "a name is empty" : tier.error().message);
    }
    tiers.push_back(*tier);
    begin = end + 1;
  }
  std::ranges::sort(tiers, std::ranges::greater());
  tiers.erase(std::ranges::unique(tiers).begin(), tiers.end());
  if (numerics == Numerics::machine && tiers.size() > 1) {
    return make_error(Errc::usage, "--tiers: level machine promises the same bits of one tier, not of {}",
                      tiers.size());
  }
  return tiers;
}

// What prompts are made of: the user's text, or tokens that text is made of.
Status choose_prompts(const VerifyFlags& flags, const Tokenizer& tokenizer, ExactnessOptions& options) {
  if (adds_bos(tokenizer)) options.bos = tokenizer.bos();
  if (flags.text.file) {
    HEADRACE_TRY(const std::string text, read_input(flags.text));
    warn_unless_utf8(text);
    options.text = tokenizer.encode(text, {.special = false, .bos = false});
    if (options.text.empty()) return make_error(Errc::usage, "the text is empty");
    return {};
  }
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!tokenizer.is_control(token)) options.tokens.push_back(token);
  }
  return {};
}

Status run_tier(const VerifyFlags& flags, const ModelFile& file, cpu::Tier tier, size_t index,
                Exactness& exactness) {
  MemoryLedger ledger(std::min(flags.engine.memory, available_memory_bytes()));
  std::unique_ptr<Backend> backend = make_cpu_backend(tier, flags.threads, flags.engine.numerics);
  Progress progress(fmt::format("loading for {}", cpu::name_of(tier)), Progress::Unit::bytes,
                    flags.model.quiet, std::chrono::seconds(1));
  const LoadOptions load = {.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); },
                            .cancel = &interrupted()};
  HEADRACE_TRY(std::unique_ptr<Model> model, load_model(file, *backend, ledger, load));
  progress.finish();
  const EngineOptions options = exactness.engine_options(*model);
  HEADRACE_TRY(const std::unique_ptr<Engine> engine,
               Engine::create(std::move(backend), std::move(model), ledger, options));
  return exactness.run(index, *engine);
}

Status verdict(const VerifyFlags& flags, const ExactnessReport& report) {
  if (report.n_different > 0) {
    const ExactnessDifference& first = report.differences.front();
    return make_error(Errc::mismatch, "{} of {} trials differ; the first, trial {}: {}", report.n_different,
                      report.trials, first.trial, first.what);
  }
  if (!report.uncovered.empty()) {
    return make_error(Errc::incomplete,
                      "no trial differs, but {} condition{} did not occur often enough in {} trials (first: "
                      "{}); more --trials would help",
                      report.uncovered.size(), report.uncovered.size() == 1 ? "" : "s", flags.trials,
                      report.uncovered.front());
  }
  return {};
}

Status verify(const VerifyFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const std::vector<cpu::Tier> tiers, chosen_tiers(flags.tiers, flags.engine.numerics));
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  HEADRACE_TRY(const Tokenizer tokenizer, load_tokenizer(file));
  ExactnessOptions options;
  options.trials = flags.trials;
  options.threads = flags.threads;
  options.seed = flags.seed;
  options.only = flags.trial;
  for (const cpu::Tier tier : tiers)
    options.tiers.push_back({std::string(cpu::name_of(tier)), tier == cpu::Tier::portable});
  HEADRACE_RETURN_IF_ERROR(choose_prompts(flags, tokenizer, options));
  options.engine.key_type = flags.engine.key_type;
  options.engine.value_type = flags.engine.value_type;
  options.engine.activations = flags.engine.activations;
  options.cancel = &interrupted();
  if (flags.spec_type == "recall") {
    options.recall = flags.draft_most;
  } else {
    HEADRACE_TRY(options.engine.speculation, speculation_of({.type = flags.spec_type,
                                                             .most = flags.draft_most,
                                                             .branches = flags.draft_branches,
                                                             .fixed = true,
                                                             .draft_model = flags.draft_model}));
  }
  Progress progress("verifying", Progress::Unit::trials, flags.model.quiet);
  options.progress = [&](uint32_t done, uint32_t total) { progress.update(done, total); };

  Exactness exactness(std::move(options));
  for (size_t i = 0; i < tiers.size(); ++i) {
    if (exactness.uses(i)) HEADRACE_RETURN_IF_ERROR(run_tier(flags, file, tiers[i], i, exactness));
    progress.finish();
  }
  const ExactnessReport report = exactness.report();
  HEADRACE_RETURN_IF_ERROR(flags.json ? write_json(verify_json(report)) : write_out(verify_text(report)));
  return verdict(flags, report);
}

}  // namespace

void register_verify(CLI::App& app, Action& action) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App& verb = *app.add_subcommand("verify", "Show that answers have the same bits in any company");
  add_model_flag(verb, flags->model);
  add_file_flag(verb, flags->text);
  verb.get_option("--file")->description("Text to cut prompts from, '-' for standard input [random tokens]");
  begin_group(verb, "Trials");
  add_number(verb, "--trials", flags->trials, 1U, kMaxTrials, "How many [200]", "1 to 1000000");
  add_number(verb, "--threads,-t", flags->threads, kLeastThreads, kMostThreads,
             "Threads of trials at most; alone a request has one [as many as cores, at least 2]", "2 to 256");
  add_number(verb, "--seed,-s", flags->seed, uint64_t{0}, std::numeric_limits<uint64_t>::max(),
             "Seed of the trials [1]", "0 to 18446744073709551615");
  verb.add_option_function<std::string>(
          "--trial", [flags](const std::string& text) { flags->trial = parse_number<uint32_t>(text); },
          "Run this one alone, say to look into a difference")
      ->check([](const std::string& text) {
        const auto number = parse_number<uint32_t>(text);
        return number && *number < kMaxTrials ? std::string() : "expected 0 to 999999, found '" + text + "'";
      })
      ->type_name("K");
  verb.add_option("--tiers", flags->tiers, "Kernels to compare, say avx2,avx512 [all of this machine]")
      ->type_name("LIST");
  verb.add_option("--spec-type", flags->spec_type,
                  "Trials with drafts, answers alone without: recall (the right answer, partly wrong), or as "
                  "headrace run has them [none]")
      ->check([](const std::string& text) {
        const bool known = text == "recall" || is_spec_type(text);
        return known ? std::string()
                     : "expected none, recall, auto, ngram, model or self:skip=T, found '" + text + "'";
      })
      ->type_name("TYPE");
  verb.add_option("--model-draft", flags->draft_model, "The draft model, with the same vocabulary (also -md)")
      ->type_name(kModelValue);
  add_number(verb, "--draft-max", flags->draft_most, 1U, kMaxDraftNodes, "Tokens of a draft at most [4]",
             "1 to 63");
  add_number(verb, "--draft-branches", flags->draft_branches, 1U, kMaxDraftBranches,
             "Ways in which a draft may go on; recall has 3 [1]", "1 to 8");
  begin_group(verb, kEngineGroup);
  add_arithmetic_flags(verb, flags->engine);
  add_memory_flag(verb, flags->engine);
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--json", flags->json, "Print the report as JSON");
  verb.footer(
      "\nExit code 7: something differs. 1: nothing differs, but the trials did not cover all that they "
      "should.\n\n"
      "Example:\n  headrace verify -m smollm2:135m -f novel.txt --trials 1000\n");
  verb.callback([flags, &action] { action = [flags] { return verify(*flags); }; });
}

}  // namespace headrace::cli
