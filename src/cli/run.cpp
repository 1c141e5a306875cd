// headrace run: one prompt, one streamed answer.
#include <memory>

#include "cli/figures.h"
#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prefill_progress.h"
#include "cli/prompt.h"
#include "cli/text_input.h"
#include "cli/trace_file.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "engine/text_generator.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kMaxLogprobs = 100;

struct RunFlags {
  ModelFlags model;
  EngineFlags engine;
  SamplingFlags sampling;
  TextFlags text;
  std::string system;
  int64_t predict = -1;
  std::vector<std::string> stops;
  std::optional<uint32_t> logprobs;
  bool escape = true;
  bool ignore_eos = false;
  bool raw = false;
  bool json = false;
  bool verbose = false;
  bool verbose_prompt = false;
  std::string trace;  // a file
};

Result<PromptText> read_prompt(RunFlags& flags) {
  HEADRACE_TRY(std::string text, read_input(flags.text));
  // Editors end files with a newline that nobody means as part of the message.
  if (flags.text.file && !flags.raw && text.ends_with('\n')) text.pop_back();
  if (flags.escape) {
    if (flags.text.prompt) text = unescape(text);
    flags.system = unescape(flags.system);
    for (std::string& stop : flags.stops) stop = unescape(stop);
  }
  if (text.empty()) return make_error(Errc::usage, "the prompt is empty");
  warn_unless_utf8(text);
  warn_unless_utf8(flags.system);
  return PromptText{std::move(text), flags.system, flags.raw};
}

void print_tokens(const Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  note(fmt::format("prompt: {} tokens", tokens.size()));
  for (const int32_t id : tokens) note(fmt::format("{:>8}  '{}'", id, printable(tokenizer.piece(id))));
}

void print_logprobs(const Tokenizer& tokenizer, std::span<const Draw> draws) {
  const auto cell = [&](int32_t token, double logprob) {
    return fmt::format("'{}' {:.4f}", printable(tokenizer.piece(token)), logprob);
  };
  for (size_t i = 0; i < draws.size(); ++i) {
    std::string line = fmt::format("{:>5}  {:<24}", i, cell(draws[i].token, draws[i].logprob));
    for (const TokenLogprob& other : draws[i].top) line += "  " + cell(other.token, other.logprob);
    note(line);
  }
}

Json logprobs_json(const Tokenizer& tokenizer, std::span<const Draw> draws) {
  const auto entry = [&](int32_t token, double logprob) {
    return Json{{"token", token}, {"text", tokenizer.piece(token)}, {"logprob", logprob}};
  };
  Json list = Json::array();
  for (const Draw& draw : draws) {
    Json item = entry(draw.token, draw.logprob);
    item["top"] = Json::array();
    for (const TokenLogprob& other : draw.top) item["top"].push_back(entry(other.token, other.logprob));
    list.push_back(std::move(item));
  }
  return list;
}

struct Answer {
  std::string text;
  GenerateResult result;
  std::vector<Draw> draws;  // with --logprobs
};

// Prints the text as it comes, except for --json.
Result<Answer> answer(const RunFlags& flags, OpenModel& model, std::vector<int32_t> prompt, uint64_t seed) {
  Answer out;
  GenerateOptions options;
  options.max_new_tokens = flags.predict;
  options.sampling = flags.sampling.params;
  options.sampling.seed = seed;
  options.sampling.logprobs = flags.logprobs.has_value();
  options.sampling.n_top_logprobs = flags.logprobs.value_or(0);
  options.stops = flags.stops;
  options.ignore_eos = flags.ignore_eos;
  options.cancel = &interrupted();
  if (flags.logprobs) options.on_draw = [&](const Draw& draw) { out.draws.push_back(draw); };
  PrefillProgress progress(*model.engine, prompt.size(), flags.model.quiet);
  options.on_step = [&] { progress.step(); };
  Status written;
  const auto on_text = [&](std::string_view text) {
    progress.finish();
    out.text += text;
    if (flags.json || !written) return;
    written = write_out(text);
    if (!written) request_stop();
  };
  HEADRACE_TRY(out.result, generate(*model.engine, model.tokenizer, std::move(prompt), options, on_text));
  progress.finish();
  HEADRACE_RETURN_IF_ERROR(written);
  if (!flags.json && !out.text.empty() && !out.text.ends_with('\n'))
    HEADRACE_RETURN_IF_ERROR(write_out("\n"));
  return out;
}

Status print_json(const RunFlags& flags, const OpenModel& model, const Answer& answer, uint64_t seed) {
  const GenerateResult& result = answer.result;
  Json out = {{"model", printable(model.path, 4096)},
              {"text", answer.text},
              {"tokens", result.tokens},
              {"prompt_tokens", result.prompt_tokens},
              {"generated_tokens", result.tokens.size()},
              {"finish_reason", finish_text(result)},
              {"seed", seed},
              {"backend", model.backend},
              {"completion_tokens_details", drafts_json(result)},
              {"timings", timings_json(model, result)}};
  if (flags.logprobs) out["logprobs"] = logprobs_json(model.tokenizer, answer.draws);
  return write_json(out);
}

Status run(RunFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const PromptText prompt, read_prompt(flags));
  HEADRACE_TRY(const TraceFile trace, TraceFile::open(flags.trace));
  flags.engine.trace = trace.trace();
  HEADRACE_TRY(OpenModel model, open_model(flags.model, flags.engine));
  HEADRACE_TRY(std::vector<int32_t> tokens, encode_prompt(model.tokenizer, prompt));
  const uint64_t seed = seed_of(flags.sampling);
  if (flags.verbose_prompt) print_tokens(model.tokenizer, tokens);
  if (flags.verbose) {
    note(fmt::format("seed {} | context {} tokens | memory {} of {}", seed, model.engine->context(),
                     human_bytes(model.ledger->used()), human_bytes(model.ledger->cap())));
  }
  HEADRACE_TRY(const Answer done, answer(flags, model, std::move(tokens), seed));
  if (flags.json)
    HEADRACE_RETURN_IF_ERROR(print_json(flags, model, done, seed));
  else if (flags.logprobs)
    print_logprobs(model.tokenizer, done.draws);
  if (!flags.model.quiet) note(figures_line(model, done.result));
  HEADRACE_RETURN_IF_ERROR(trace.finish(flags.model.quiet));
  if (done.result.finished == FinishReason::cancelled && !done.result.stopped) {
    return make_error(Errc::cancelled, "interrupted");
  }
  return {};
}

}  // namespace

void register_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App& verb = *app.add_subcommand("run", "Answer a prompt");
  add_model_flag(verb, flags->model);
  add_prompt_flags(verb, flags->text);
  add_system_flag(verb, flags->system);
  verb.add_flag("--raw", flags->raw, "Pass the text as it is, special tokens included; no chat template");
  verb.add_flag("--escape,-e,!--no-escape", flags->escape,
                "Read \\n, \\t, \\xNN ... in -p, -sys and -r [on]");
  add_predict_flag(verb, flags->predict);
  verb.add_option("--reverse-prompt,-r", flags->stops, "Stop at this text; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("TEXT");
  verb.add_flag("--ignore-eos", flags->ignore_eos, "Never let the model end its answer");
  add_sampling_flags(verb, flags->sampling);
  add_engine_flags(verb, flags->engine);
  add_speculation_flags(verb, flags->engine.speculation);
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_option_function<std::string>(
          "--logprobs", [flags](const std::string& text) { flags->logprobs = parse_number<uint32_t>(text); },
          "Show each token's log-probability and so many alternatives")
      ->check([](const std::string& text) {
        const auto n = parse_number<uint32_t>(text);
        return n && *n <= kMaxLogprobs ? std::string() : "expected 0 to 100, found '" + text + "'";
      })
      ->type_name("N");
  verb.add_flag("--json", flags->json, "One JSON object on standard output when the answer is complete");
  add_trace_flag(verb, flags->trace);
  verb.add_flag("--verbose,-v", flags->verbose, "Show seed, context and memory");
  verb.add_flag("--verbose-prompt", flags->verbose_prompt, "Show the prompt's tokens");
  verb.footer(
      "\nThe text goes to standard output, figures and notes to standard error.\n\n"
      "Example:\n  headrace run -m smollm2:135m -p \"Name three rivers.\" -n 64 -s 1\n");
  verb.callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace headrace::cli
