// headrace perplexity: how well a model predicts a text.
//
// The text is tokenised once, as plain text, and cut into blocks of exactly -c tokens; an incomplete last one
// is dropped. The first token of each block gives way to BOS, if the model adds one. The second half of each
// block is scored, so that every prediction has at least half a block to go by.
#include <cmath>
#include <memory>

#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text_input.h"
#include "cli/verbs.h"
#include "core/log.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kDefaultBlock = 512;
constexpr uint32_t kOutputRows = 16;  // scored at once: they share each read of the vocabulary
constexpr uint32_t kMinBlock = 4;     // below that less than one token of a block would be scored

struct PerplexityFlags {
  ModelFlags model;
  EngineFlags engine;
  TextFlags text;
  int64_t blocks = -1;
  bool json = false;
};

// Sums of -log p, in the order of the text.
struct Score {
  double sum = 0;
  double squares = 0;
  uint64_t tokens = 0;

  double mean() const { return sum / static_cast<double>(tokens); }
  double perplexity() const { return std::exp(mean()); }
  /// Of the perplexity, from the spread of the tokens' scores.
  double standard_error() const {
    if (tokens < 2) return 0;
    const double variance = squares / static_cast<double>(tokens) - mean() * mean();
    return variance > 0 ? std::sqrt(variance / static_cast<double>(tokens - 1)) * perplexity() : 0;
  }
};

Status score_block(Engine& engine, std::vector<int32_t> block, Score& score) {
  Request request;
  request.score_from = static_cast<uint32_t>(block.size() / 2 + 1);
  request.prompt = std::move(block);
  HEADRACE_TRY(const RequestId id, engine.submit(std::move(request)));
  std::vector<Event> events;
  while (!engine.idle()) {
    if (interrupted()) engine.cancel(id);
    events.clear();
    engine.step(events);
    for (const Event& event : events) {
      if (event.finished == FinishReason::cancelled) return make_error(Errc::cancelled, "interrupted");
      if (!event.scored) continue;
      score.sum -= event.draw.logprob;
      score.squares += event.draw.logprob * event.draw.logprob;
      ++score.tokens;
    }
  }
  return {};
}

Result<Score> score_text(const PerplexityFlags& flags, OpenModel& model, std::span<const int32_t> tokens,
                         size_t n_blocks) {
  const size_t size = flags.engine.context;
  const bool bos_first = adds_bos(model.tokenizer);
  Score score;
  Progress progress("scoring", Progress::Unit::blocks, flags.model.quiet);
  for (size_t b = 0; b < n_blocks; ++b) {
    const std::span<const int32_t> from = tokens.subspan(b * size, size);
    std::vector<int32_t> block(from.begin(), from.end());
    if (bos_first) block.front() = *model.tokenizer.bos();
    HEADRACE_RETURN_IF_ERROR(score_block(*model.engine, std::move(block), score));
    progress.update(b + 1, n_blocks, fmt::format("  perplexity {:.4f}", score.perplexity()));
  }
  return score;
}

Status report(const PerplexityFlags& flags, const OpenModel& model, const Score& score, size_t n_blocks) {
  if (flags.json) {
    return write_json({{"perplexity", score.perplexity()},
                       {"standard_error", score.standard_error()},
                       {"tokens", score.tokens},
                       {"blocks", n_blocks},
                       {"block_tokens", flags.engine.context},
                       {"backend", model.backend}});
  }
  return write_out(fmt::format("perplexity {:.4f} +/- {:.5f} ({} tokens scored in {} blocks of {})\n",
                               score.perplexity(), score.standard_error(), score.tokens, n_blocks,
                               flags.engine.context));
}

Status perplexity(PerplexityFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  const uint32_t size = flags.engine.context;
  if (size < kMinBlock) {
    return make_error(Errc::usage, "--ctx-size: expected {} to 16777216, found {}", kMinBlock, size);
  }
  HEADRACE_TRY(const std::string text, read_input(flags.text));
  warn_unless_utf8(text);
  HEADRACE_TRY(OpenModel model, open_model(flags.model, flags.engine));
  const std::vector<int32_t> tokens = model.tokenizer.encode(text, {.special = false, .bos = true});
  const size_t whole = tokens.size() / size;
  if (whole == 0) {
    return make_error(Errc::usage, "the text has {} tokens, one block needs {} (-c)", tokens.size(), size);
  }
  const size_t n_blocks = flags.blocks < 0 ? whole : std::min(whole, static_cast<size_t>(flags.blocks));
  HEADRACE_TRY(const Score score, score_text(flags, model, tokens, n_blocks));
  return report(flags, model, score, n_blocks);
}

}  // namespace

void register_perplexity(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PerplexityFlags>();
  flags->engine.context = kDefaultBlock;
  flags->engine.output_rows = kOutputRows;
  CLI::App& verb = *app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  add_model_flag(verb, flags->model);
  add_file_flag(verb, flags->text);
  add_engine_flags(verb, flags->engine);
  verb.get_option("--ctx-size")->description("Tokens of a block, of which the second half is scored [512]");
  begin_group(verb, kPromptGroup);
  add_number(verb, "--chunks", flags->blocks, int64_t{1}, int64_t{1} << 40,
             "Score only the first N blocks [all]", "1 or more");
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--json", flags->json, "Print the figures as JSON");
  verb.footer("\nExample:\n  headrace perplexity -m smollm2:135m -f novel.txt --chunks 20\n");
  verb.callback([flags, &action] { action = [flags] { return perplexity(*flags); }; });
}

}  // namespace headrace::cli
