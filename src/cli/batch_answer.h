// Lines of a batch's outputs, in the shape of OpenAI's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/batch_input.h"
#include "cli/batch_line.h"
#include "decode/sampler.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

namespace headrace::cli {

/// One of the n answers to a line.
struct BatchChoice {
  std::string text = {};
  std::vector<Draw> draws = {};  // of all tokens but the end token; empty without logprobs
  uint32_t tokens = 0;           // that were drawn, the end token included
  bool reached_limit =
      false;  // max_tokens or the context, rather than an end that the model or a stop string set
  std::optional<DraftTally> drafts = {};  // where drafts are made
};

/// The bytes depend on the arguments alone: no clock, no random id. `model` is named if the line names none.
std::string answer_line(const BatchRequest& request, const Tokenizer& tokenizer, std::string_view model,
                        uint32_t prompt_tokens, std::span<const BatchChoice> choices);

/// With `responded` the request was understood and its body refused: a response of status 400 says so, too.
std::string error_line(const BatchInputLine& line, const std::optional<std::string>& custom_id,
                       const Refusal& refusal, bool responded);

}  // namespace headrace::cli
