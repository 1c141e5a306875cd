#include "engine/text_generator.h"

#include <chrono>
#include <limits>

#include "engine/text_stream.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

EndTokens::EndTokens(const Tokenizer& tokenizer) {
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_end_of_generation(static_cast<int32_t>(id))) tokens_.push_back(static_cast<int32_t>(id));
  }
}

void EndTokens::apply(Request& request, bool ignore) const {
  if (!ignore) {
    request.end_tokens = tokens_;
    return;
  }
  for (const int32_t token : tokens_) {
    request.sampling.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
  }
}

Result<GenerateResult> generate(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                                const GenerateOptions& options,
                                const std::function<void(std::string_view)>& on_text) {
  HEADRACE_TRY(TextStream stream, TextStream::create(tokenizer, options.stops));
  GenerateResult result;
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  Request request;
  request.prompt = std::move(prompt);
  request.sampling = options.sampling;
  request.max_new_tokens = static_cast<uint32_t>(
      options.max_new_tokens < 0 ? std::numeric_limits<uint32_t>::max() : options.max_new_tokens);
  EndTokens(tokenizer).apply(request, options.ignore_eos);
  const Clock::time_point begin = Clock::now();
  HEADRACE_TRY(const RequestId id, engine.submit(std::move(request)));

  Clock::time_point first_token = begin;
  std::vector<Event> events;
  while (!engine.idle()) {
    if (options.cancel != nullptr && options.cancel->load()) engine.cancel(id);
    engine.recycle(events);
    engine.step(events);
    if (options.on_step) options.on_step();
    for (const Event& event : events) {
      if (event.finished != FinishReason::none) {
        result.finished = event.finished;
        result.cached_tokens = event.report.reuse.tokens;
        result.drafts = event.report.drafts;
      }
      if (!event.has_token || result.stopped) continue;
      if (result.tokens.empty()) first_token = Clock::now();
      result.tokens.push_back(event.draw.token);
      if (options.on_draw) options.on_draw(event.draw);
      if (event.finished == FinishReason::end_token) continue;
      const std::string text = stream.push(event.draw.token);
      if (!text.empty()) on_text(text);
      if (stream.stopped()) {
        result.stopped = true;
        engine.cancel(id);
      }
    }
  }
  const std::string rest = stream.finish();
  result.stopped = stream.stopped();
  if (!rest.empty()) on_text(rest);
  const Clock::time_point end = Clock::now();
  if (result.tokens.empty()) first_token = end;
  result.prefill_seconds = seconds_between(begin, first_token);
  result.decode_seconds = seconds_between(first_token, end);
  return result;
}

}  // namespace headrace
