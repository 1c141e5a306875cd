#include "engine/text_generator.h"

#include <chrono>
#include <limits>

#include "text/stop_strings.h"
#include "text/stream_detokenizer.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::vector<int32_t> end_tokens_of(const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens;
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_end_of_generation(static_cast<int32_t>(id))) tokens.push_back(static_cast<int32_t>(id));
  }
  return tokens;
}

}  // namespace

Result<GenerateResult> generate(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                                const GenerateOptions& options,
                                const std::function<void(std::string_view)>& on_text) {
  HEADRACE_TRY(StopMatcher stops, StopMatcher::create(options.stops));
  GenerateResult result;
  result.prompt_tokens = static_cast<uint32_t>(prompt.size());
  Request request;
  request.prompt = std::move(prompt);
  request.sampling = options.sampling;
  request.max_new_tokens = static_cast<uint32_t>(
      options.max_new_tokens < 0 ? std::numeric_limits<uint32_t>::max() : options.max_new_tokens);
  const std::vector<int32_t> ends = end_tokens_of(tokenizer);
  if (!options.ignore_eos) {
    request.end_tokens = ends;
  } else {
    for (const int32_t token : ends) {
      request.sampling.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
    }
  }
  const Clock::time_point begin = Clock::now();
  HEADRACE_TRY(const RequestId id, engine.submit(std::move(request)));

  StreamDetokenizer detokenizer(tokenizer);
  Clock::time_point first_token = begin;
  std::vector<Event> events;
  while (!engine.idle()) {
    if (options.cancel != nullptr && options.cancel->load()) engine.cancel(id);
    events.clear();
    engine.step(events);
    if (options.on_step) options.on_step();
    for (const Event& event : events) {
      if (event.finished != FinishReason::none) result.finished = event.finished;
      if (!event.has_token || result.stopped) continue;
      if (result.tokens.empty()) first_token = Clock::now();
      result.tokens.push_back(event.draw.token);
      if (options.on_draw) options.on_draw(event.draw);
      if (event.finished == FinishReason::end_token) continue;
      const std::string text = stops.push(detokenizer.push(event.draw.token));
      if (!text.empty()) on_text(text);
      if (stops.matched()) {
        result.stopped = true;
        engine.cancel(id);
      }
    }
  }
  if (!result.stopped) {
    std::string rest = stops.push(detokenizer.finish());
    result.stopped = stops.matched().has_value();
    if (!result.stopped) rest += stops.finish();
    if (!rest.empty()) on_text(rest);
  }
  const Clock::time_point end = Clock::now();
  if (result.tokens.empty()) first_token = end;
  result.prefill_seconds = seconds_between(begin, first_token);
  result.decode_seconds = seconds_between(first_token, end);
  return result;
}

}  // namespace headrace
