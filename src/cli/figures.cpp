#include "cli/figures.h"

namespace headrace::cli {
namespace {

double rate(size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

size_t computed(const GenerateResult& result) {
  return result.prompt_tokens - result.cached_tokens;
}

double decode_rate(const GenerateResult& result) {
  return result.tokens.size() < 2 ? 0 : rate(result.tokens.size() - 1, result.decode_seconds);
}

std::string rate_text(double tokens_per_second) {
  return fmt::format("{:.{}f} tok/s", tokens_per_second,
                     tokens_per_second < 10    ? 2
                     : tokens_per_second < 100 ? 1
                                               : 0);
}

}  // namespace

std::string figures_line(const OpenModel& model, const GenerateResult& result) {
  std::string line =
      fmt::format("load {:.2f} s | prefill {} tokens", model.load_seconds, result.prompt_tokens);
  if (result.cached_tokens > 0) line += fmt::format(" ({} cached)", result.cached_tokens);
  if (result.tokens.empty() && result.finished == FinishReason::cancelled)
    return line + " interrupted | " + model.backend;
  if (result.prefill_seconds > 0) line += ", " + rate_text(rate(computed(result), result.prefill_seconds));
  line += fmt::format(" | decode {} token{}", result.tokens.size(), result.tokens.size() == 1 ? "" : "s");
  if (result.tokens.size() > 1) line += ", " + rate_text(decode_rate(result));
  if (result.drafts.tokens > 0)
    line += fmt::format(" | drafts {} of {} right", result.drafts.accepted, result.drafts.tokens);
  return line + " | " + model.backend;
}

Json drafts_json(const GenerateResult& result) {
  return {{"accepted_prediction_tokens", result.drafts.accepted},
          {"rejected_prediction_tokens", result.drafts.tokens - result.drafts.accepted}};
}

Json timings_json(const OpenModel& model, const GenerateResult& result) {
  return {{"load_seconds", model.load_seconds},
          {"prefill_seconds", result.prefill_seconds},
          {"prefill_tokens_per_second", rate(computed(result), result.prefill_seconds)},
          {"prefill_cached_tokens", result.cached_tokens},
          {"decode_seconds", result.decode_seconds},
          {"decode_tokens_per_second", decode_rate(result)}};
}

std::string finish_text(const GenerateResult& result) {
  return result.stopped ? "stop_string" : std::string(name_of(result.finished));
}

}  // namespace headrace::cli
