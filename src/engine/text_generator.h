// Text in, text out: one prompt through an engine, with streaming, stop strings and figures.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"

namespace headrace {

/// The tokens that end an answer.
class EndTokens {
 public:
  explicit EndTokens(const Tokenizer& tokenizer);
  /// Ends the answers of `request` at them or, with `ignore`, forbids them.
  void apply(Request& request, bool ignore) const;

 private:
  std::vector<int32_t> tokens_;
};

struct GenerateOptions {
  int64_t max_new_tokens = -1;  // -1: until the context is full
  SamplingParams sampling;
  std::vector<std::string> stops;
  bool ignore_eos = false;
  const std::atomic<bool>* cancel = nullptr;  // looked at between steps
  std::function<void(const Draw&)>
      on_draw;                    // each token that was drawn, the end token included; may be empty
  std::function<void()> on_step;  // after each step of the engine; may be empty
};

struct GenerateResult {
  std::vector<int32_t> tokens;  // that were generated, the end token included
  FinishReason finished = FinishReason::none;
  bool stopped = false;  // a stop string matched
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;  // of the prompt, that came from the prefix cache
  DraftTally drafts;
  double prefill_seconds = 0;  // until the first token was drawn
  double decode_seconds = 0;   // from then on
};

/// Generates from `prompt`, calling `on_text` with pieces of complete UTF-8 as they become certain. The
/// engine must be idle and stays so. Cancelling ends with finished == cancelled, which is no error.
Result<GenerateResult> generate(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> prompt,
                                const GenerateOptions& options,
                                const std::function<void(std::string_view)>& on_text);

}  // namespace headrace
