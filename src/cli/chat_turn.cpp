#include "cli/chat_turn.h"

#include <unistd.h>
#include <algorithm>
#include <utility>

#include "cli/figures.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/prefill_progress.h"
#include "core/utf8.h"
#include "engine/text_generator.h"

namespace headrace::cli {
namespace {

// What an answer wants at least, if the context is large enough for that: less would rarely be one.
constexpr size_t kAnswerRoom = 256;

// `text` (valid UTF-8) without control characters but newline and tab: a model must not move the cursor.
std::string safe_for_terminal(std::string_view text) {
  std::string safe;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    const bool control = next.code_point < 0x20 || (next.code_point >= 0x7f && next.code_point < 0xa0);
    if (!control || next.code_point == '\n' || next.code_point == '\t') safe += text.substr(at, next.size);
    at += next.size;
  }
  return safe;
}

class Turn {
 public:
  Turn(OpenModel& model, const ChatSettings& settings, const TurnOptions& options, Conversation& conversation,
       LineSource& source)
      : model_(model),
        settings_(settings),
        options_(options),
        conversation_(conversation),
        source_(source),
        to_terminal_(::isatty(STDOUT_FILENO) == 1) {}

  Status take();

 private:
  /// The prompt once it fits; empty if the message shall not be sent.
  Result<std::vector<int32_t>> fitting_prompt();
  Result<GenerateResult> generate_on(std::vector<int32_t> prompt);
  /// After an answer that ran into the end: whether it shall go on.
  Result<bool> go_on(const GenerateResult& result);
  Status end_line();
  void tell(const GenerateResult& result) const;

  size_t context() const { return model_.engine->context(); }
  size_t room() const {
    const size_t wanted = std::max<size_t>(1, std::min(kAnswerRoom, context() / 4));
    if (settings_.predict < 0) return wanted;
    return std::clamp<size_t>(static_cast<size_t>(settings_.predict) - generated_, 1, wanted);
  }

  OpenModel& model_;
  const ChatSettings& settings_;
  const TurnOptions& options_;
  Conversation& conversation_;
  LineSource& source_;
  bool to_terminal_;
  std::string answer_;
  size_t generated_ = 0;  // tokens, before the present stretch of the answer
  bool line_open_ = false;
};

Result<std::vector<int32_t>> Turn::fitting_prompt() {
  HEADRACE_TRY(std::vector<int32_t> prompt, conversation_.prompt());
  if (prompt.size() + room() <= context()) return prompt;
  const FullContext full = {.used = prompt.size(), .context = context(), .room = room()};
  HEADRACE_TRY(const Choice choice, handle_full_context(full, options_.on_full, conversation_, source_));
  if (choice == Choice::leave) return std::vector<int32_t>();
  return conversation_.prompt();
}

Result<GenerateResult> Turn::generate_on(std::vector<int32_t> prompt) {
  PrefillProgress progress(*model_.engine, prompt.size(), options_.quiet);
  GenerateOptions options;
  options.max_new_tokens = settings_.predict < 0 ? -1 : settings_.predict - static_cast<int64_t>(generated_);
  options.sampling = settings_.sampling.params;
  options.sampling.seed = seed_of(settings_.sampling);
  options.cancel = &interrupted();
  options.on_step = [&] { progress.step(); };
  Status written;
  const auto on_text = [&](std::string_view text) {
    progress.finish();
    answer_ += text;
    if (!written) return;
    const std::string shown = to_terminal_ ? safe_for_terminal(text) : std::string(text);
    if (!shown.empty()) line_open_ = shown.back() != '\n';
    written = write_out(shown);
    if (!written) request_stop();
  };
  HEADRACE_TRY(GenerateResult result,
               generate(*model_.engine, model_.tokenizer, std::move(prompt), options, on_text));
  progress.finish();
  HEADRACE_RETURN_IF_ERROR(written);
  generated_ += result.tokens.size();
  return result;
}

Status Turn::end_line() {
  if (!std::exchange(line_open_, false)) return {};
  return write_out("\n");
}

Result<bool> Turn::go_on(const GenerateResult& result) {
  HEADRACE_RETURN_IF_ERROR(end_line());
  const FullContext full = {.used = result.prompt_tokens + result.tokens.size(),
                            .context = context(),
                            .room = room(),
                            .answer_cut = true};
  conversation_.set_partial(answer_);
  HEADRACE_TRY(const Choice choice, handle_full_context(full, options_.on_full, conversation_, source_));
  return choice == Choice::dropped;
}

void Turn::tell(const GenerateResult& result) const {
  if (result.finished == FinishReason::cancelled) {
    note(answer_.empty() ? "(stopped before the answer began: the message is taken back)"
                         : "(stopped: what there is of the answer stays in the conversation)");
  } else if (result.finished == FinishReason::length) {
    note(fmt::format("(stopped after {} tokens: --predict)", generated_));
  } else if (answer_.empty()) {
    note("(the model gave an empty answer)");
  }
  if (options_.verbose) note(figures_line(model_, result));
}

Status Turn::take() {
  GenerateResult result;
  bool more = true;
  while (more) {
    HEADRACE_TRY(std::vector<int32_t> prompt, fitting_prompt());
    if (prompt.empty()) {
      conversation_.take_back();
      return {};
    }
    HEADRACE_TRY(result, generate_on(std::move(prompt)));
    more = false;
    if (result.finished == FinishReason::context) {
      HEADRACE_TRY(more, go_on(result));
    }
  }
  HEADRACE_RETURN_IF_ERROR(end_line());
  tell(result);
  if (result.finished == FinishReason::cancelled && answer_.empty())
    conversation_.take_back();
  else
    conversation_.keep(std::move(answer_));
  if (source_.interactive()) note("");
  return {};
}

}  // namespace

Status take_turn(OpenModel& model, const ChatSettings& settings, const TurnOptions& options,
                 Conversation& conversation, LineSource& source, std::string message) {
  conversation.begin(std::move(message));
  const Status taken = Turn(model, settings, options, conversation, source).take();
  if (!taken) conversation.take_back();
  return taken;
}

}  // namespace headrace::cli
