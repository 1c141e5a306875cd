#include "cli/batch_loop.h"

#include <chrono>
#include <utility>

#include "cli/interrupt.h"
#include "cli/output.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

BatchLoop::BatchLoop(Engine& engine, const Tokenizer& tokenizer, const BatchPrompts& prompts,
                     const BatchInput& input, BatchJournal& journal, Options options)
    : engine_(engine),
      tokenizer_(tokenizer),
      prompts_(prompts),
      input_(input),
      journal_(journal),
      options_(std::move(options)),
      progress_("batch", Progress::Unit::requests, options_.quiet) {}

Status BatchLoop::run() {
  const Clock::time_point begin = Clock::now();
  const uint64_t reused_before = engine_.stats().reused_tokens;
  std::vector<Event> events;
  show();
  while (!interrupted()) {
    HEADRACE_RETURN_IF_ERROR(fill());
    if (running_.empty()) break;
    engine_.recycle(events);
    const bool idle = engine_.idle();
    engine_.step(events);
    for (const Event& event : events) HEADRACE_RETURN_IF_ERROR(see(event));
    // Lines that wait for an engine that has nothing to do would wait for ever.
    HEADRACE_CHECK(!idle || !events.empty());
    figures_.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    figures_.reused_tokens = engine_.stats().reused_tokens - reused_before;
    show();
  }
  progress_.finish();
  if (journal_.finished() == input_.lines().size()) return {};
  return make_error(Errc::cancelled,
                    "interrupted: {} of {} lines are finished, and the same command continues",
                    grouped(journal_.finished()), grouped(input_.lines().size()));
}

void BatchLoop::show() {
  const double seconds = figures_.seconds;
  const std::string rate =
      seconds > 0 ? fmt::format("  {:.0f} tok/s", static_cast<double>(figures_.generated_tokens) / seconds)
                  : "";
  progress_.update(journal_.finished(), input_.lines().size(), rate);
}

Status BatchLoop::fill() {
  while (next_ < input_.lines().size() && open_choices_ < options_.window && !interrupted()) {
    HEADRACE_RETURN_IF_ERROR(start(next_));
    ++next_;
  }
  return {};
}

Status BatchLoop::start(size_t index) {
  const BatchInputLine& line = input_.lines()[index];
  HEADRACE_TRY(const std::string text, input_.read(line, kMaxBatchLineBytes));
  BatchLine parsed = parse_batch_line(text);
  uint32_t first_line = line.number;
  if (parsed.custom_id) first_line = seen_.try_emplace(*parsed.custom_id, line.number).first->second;
  // A finished line was read for its custom_id alone: a later one may repeat it.
  if (journal_.has(index)) return {};
  if (first_line != line.number) {
    const std::string why = fmt::format("custom_id: line {} has the same", first_line);
    return refuse(index, parsed.custom_id, {"duplicate_custom_id", why, "custom_id"}, false);
  }
  if (const auto* refusal = std::get_if<Refusal>(&parsed.content)) {
    return refuse(index, parsed.custom_id, *refusal, parsed.body_refused);
  }
  return submit(index, std::move(std::get<BatchRequest>(parsed.content)));
}

Status BatchLoop::refuse(size_t index, const std::optional<std::string>& custom_id, const Refusal& refusal,
                         bool responded) {
  return journal_.append(index, BatchKind::error,
                         error_line(input_.lines()[index], custom_id, refusal, responded));
}

Status BatchLoop::submit(size_t index, BatchRequest request) {
  Running line;
  line.index = index;
  for (uint32_t i = 0; i < request.n; ++i) {
    Result<TextStream> stream = TextStream::create(tokenizer_, request.stops);
    if (!stream) {
      return refuse(index, request.custom_id,
                    {"invalid_value", "body.stop: " + stream.error().message, "stop"}, true);
    }
    line.choices.push_back({std::move(stream).value(), {}, false});
  }
  std::variant<Request, Refusal> made = prompts_.make(request);
  if (const auto* refusal = std::get_if<Refusal>(&made)) {
    return refuse(index, request.custom_id, *refusal, true);
  }
  auto& engine_request = std::get<Request>(made);
  line.prompt_tokens = static_cast<uint32_t>(engine_request.prompt.size());
  const Result<RequestId> id = engine_.submit(std::move(engine_request));
  if (!id) return refuse(index, request.custom_id, refusal_of(id.error()), true);
  line.open = line.choices.size();
  line.request = std::move(request);
  open_choices_ += line.open;
  running_.emplace(*id, std::move(line));
  return {};
}

Status BatchLoop::see(const Event& event) {
  const auto found = running_.find(event.request);
  if (found == running_.end()) return {};
  Running& line = found->second;
  Choice& choice = line.choices[event.choice];
  if (event.has_token) take_token(line, choice, event);
  if (event.finished == FinishReason::none || choice.done) return {};
  choice.answer.text += choice.stream.finish();
  // Ctrl-C has cancelled it: the next run answers the line.
  if (event.finished == FinishReason::cancelled && !choice.stream.stopped()) return {};
  if (options_.drafts) choice.answer.drafts = event.report.drafts;
  choice.answer.reached_limit = !choice.stream.stopped() && event.finished != FinishReason::end_token;
  choice.done = true;
  --open_choices_;
  if (--line.open > 0) return {};
  HEADRACE_RETURN_IF_ERROR(finish(line));
  running_.erase(found);
  return {};
}

void BatchLoop::take_token(const Running& line, Choice& choice, const Event& event) {
  // What a step drew after the stop string is no part of the answer.
  if (choice.done || choice.stream.stopped()) return;
  ++choice.answer.tokens;
  ++figures_.generated_tokens;
  if (event.finished == FinishReason::end_token) return;
  choice.answer.text += choice.stream.push(event.draw.token);
  if (line.request.sampling.logprobs) choice.answer.draws.push_back(event.draw);
  if (choice.stream.stopped()) engine_.cancel(event.request, event.choice);
}

Status BatchLoop::finish(Running& line) {
  std::vector<BatchChoice> answers;
  for (Choice& choice : line.choices) answers.push_back(std::move(choice.answer));
  figures_.prompt_tokens += line.prompt_tokens;
  return journal_.append(line.index, BatchKind::answer,
                         answer_line(line.request, tokenizer_, options_.model, line.prompt_tokens, answers));
}

}  // namespace headrace::cli
