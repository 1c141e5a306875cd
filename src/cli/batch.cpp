// headrace batch: a file of requests, answered as fast as the machine can, into another file.
//
// docs/batch.md has the formats. A run that is stopped or killed goes on where it stood (batch_journal.h).
#include <memory>
#include <optional>

#include "cli/batch_input.h"
#include "cli/batch_journal.h"
#include "cli/batch_loop.h"
#include "cli/batch_output.h"
#include "cli/batch_prompt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kDefaultParallel = 32;
// Choices that wait beside those that run: the engine shall never run dry, and memory not be full of prompts.
constexpr uint32_t kWindowPerSequence = 4;
constexpr const char* kDefaultDate = "2026-01-01";

struct BatchFlags {
  ModelFlags model;
  EngineFlags engine;
  std::string input;
  std::string output;
  std::optional<std::string> errors;
  std::string date = kDefaultDate;
  bool overwrite = false;
};

// Below `exact` bits belong to the kernels, too, but never to the number of threads.
std::string numerics_of(const EngineFlags& flags, const OpenModel& model) {
  if (flags.numerics == Numerics::exact) return "exact";
  return model.backend.substr(0, model.backend.rfind(','));
}

// What answers depend on besides their lines. Threads, tiers and how many run at once are not among it.
// Drafts are among it by the rule of rejection.
Json settings_of(const BatchFlags& flags, const OpenModel& model) {
  const auto name = [](DType type) { return std::string(name_of(type)); };
  Json settings = {{"version", HEADRACE_VERSION},
                   {"model", printable(std::filesystem::path(model.path).filename().string())},
                   {"model_bytes", model.file_bytes},
                   {"ctx_size", model.engine->context()},
                   {"cache_type_k", name(flags.engine.key_type)},
                   {"cache_type_v", name(flags.engine.value_type)},
                   {"numerics", numerics_of(flags.engine, model)},
                   {"activations", flags.engine.activations == ActivationNumerics::f32 ? "f32" : "int8"},
                   {"date", flags.date}};
  if (flags.engine.speculation.rule == DraftRule::rejection) settings["draft_rule"] = "rejection";
  return settings;
}

// Without -c the context is what fits, which another run may find different.
void keep_context(const BatchJournal& journal, EngineFlags& flags) {
  if (flags.context != 0 || !journal.settings()) return;
  const auto found = journal.settings()->find("ctx_size");
  const auto* size =
      found == journal.settings()->end() ? nullptr : found->get_ptr<const Json::number_unsigned_t*>();
  if (size != nullptr && *size <= std::numeric_limits<uint32_t>::max()) {
    flags.context = static_cast<uint32_t>(*size);
  }
}

struct Answered {
  BatchFigures figures;
  std::string backend;
};

Result<Answered> answer_all(BatchFlags& flags, const BatchInput& input, BatchJournal& journal) {
  HEADRACE_TRY(const std::time_t now, parse_date(flags.date));
  keep_context(journal, flags.engine);
  HEADRACE_TRY(OpenModel model, open_model(flags.model, flags.engine));
  HEADRACE_RETURN_IF_ERROR(journal.begin(settings_of(flags, model)));
  const BatchPrompts prompts(model.tokenizer, now);
  // The pool of exspec wants to be full.
  const SpeculationFlags& drafts = flags.engine.speculation;
  const uint32_t pool = drafts.schedule == "exspec" ? 2 * drafts.window : 0;
  BatchLoop loop(*model.engine, model.tokenizer, prompts, input, journal,
                 {.window = std::max(flags.engine.sequences * kWindowPerSequence, pool),
                  .model = printable(std::filesystem::path(flags.model.model).filename().string()),
                  .quiet = flags.model.quiet,
                  .drafts = drafts.any()});
  HEADRACE_RETURN_IF_ERROR(loop.run());
  return Answered{loop.figures(), model.backend};
}

void summarise(const BatchPaths& paths, const BatchJournal& journal, size_t finished_before,
               const Answered& answered) {
  const size_t answers = journal.finished() - journal.errors();
  std::string line = fmt::format("{} answers in {}", grouped(answers), file_name_for_messages(paths.output));
  if (journal.errors() > 0) {
    line += fmt::format(", {} errors in {}", grouped(journal.errors()), file_name_for_messages(paths.errors));
  }
  if (finished_before > 0) line += fmt::format(" ({} lines were finished before)", grouped(finished_before));
  note(line);
  const BatchFigures& figures = answered.figures;
  if (figures.seconds <= 0) return;
  note(fmt::format("prompts {} tokens, {} reused | generated {} tokens in {:.1f} s, {:.1f} tok/s | {}",
                   grouped(figures.prompt_tokens), grouped(figures.reused_tokens),
                   grouped(figures.generated_tokens), figures.seconds,
                   static_cast<double>(figures.generated_tokens) / figures.seconds, answered.backend));
}

Status batch(BatchFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const BatchPaths paths, batch_paths(flags.input, flags.output, flags.errors));
  HEADRACE_TRY(const BatchInput input, BatchInput::open(paths.input));
  std::error_code ignored;
  // Before the journal is opened, which would make one.
  if (!std::filesystem::exists(paths.journal, ignored)) {
    HEADRACE_RETURN_IF_ERROR(check_outputs(paths, nullptr, flags.overwrite));
  }
  HEADRACE_TRY(BatchJournal journal, BatchJournal::open(paths.journal, input));
  HEADRACE_RETURN_IF_ERROR(check_outputs(paths, &journal, flags.overwrite));
  if (journal.damaged() > 0) {
    warn(fmt::format("{}: {} damaged entries; their lines are answered again", journal.name(),
                     journal.damaged()));
  }
  const size_t finished_before = journal.finished();
  if (finished_before > 0 && !flags.model.quiet) {
    note(fmt::format("continuing {}: {} of {} lines are finished", journal.name(), grouped(finished_before),
                     grouped(input.lines().size())));
  }
  Answered answered;
  if (finished_before < input.lines().size()) {
    HEADRACE_TRY(answered, answer_all(flags, input, journal));
  }
  HEADRACE_RETURN_IF_ERROR(publish_outputs(paths, journal, input.lines().size()));
  if (!flags.model.quiet) summarise(paths, journal, finished_before, answered);
  return {};
}

}  // namespace

void register_batch(CLI::App& app, Action& action) {
  auto flags = std::make_shared<BatchFlags>();
  flags->engine.sequences = kDefaultParallel;
  CLI::App& verb = *app.add_subcommand("batch", "Answer a file of requests");
  verb.add_option("in", flags->input, "OpenAI batch lines")->required()->type_name(kFileValue);
  verb.add_option("out", flags->output, "The answers, in the same order")->required()->type_name(kFileValue);
  add_model_flag(verb, flags->model);
  add_engine_flags(verb, flags->engine);
  add_parallel_flags(verb, flags->engine);
  add_speculation_flags(verb, flags->engine.speculation);
  verb.add_option("--spec-sched", flags->engine.speculation.schedule,
                  "Which answers a step goes on with: ragged (all), exspec (a pool, equal lengths together), "
                  "eqspec (padded batches); for comparisons [ragged]")
      ->check([](const std::string& text) {
        return is_schedule(text) ? std::string() : "expected ragged, exspec or eqspec, found '" + text + "'";
      })
      ->type_name("ragged|exspec|eqspec");
  add_window_flag(verb, flags->engine.speculation);
  begin_group(verb, kEngineGroup);
  verb.add_option("--date", flags->date, "The day that chat templates are told [2026-01-01]")
      ->check([](const std::string& text) {
        const Result<std::time_t> date = parse_date(text);
        return date ? std::string() : date.error().message;
      })
      ->type_name("DATE");
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_option("--errors", flags->errors, "Lines that can't be answered [OUT's name with .errors.jsonl]")
      ->type_name(kFileValue);
  verb.add_flag("--overwrite", flags->overwrite, "Replace outputs that are there");
  verb.footer(
      "\nEach line of the input is {\"custom_id\", \"method\": \"POST\", \"url\", \"body\"}, the url being\n"
      "/v1/chat/completions or /v1/completions. Finished lines are kept in OUT.part: after Ctrl-C or a crash "
      "the\n"
      "same command continues. OUT appears when all lines are finished.\n\n"
      "Example:\n  headrace batch -m smollm2:135m questions.jsonl answers.jsonl\n");
  verb.callback([flags, &action] { action = [flags] { return batch(*flags); }; });
}

}  // namespace headrace::cli
