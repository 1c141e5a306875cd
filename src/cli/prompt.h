// The tokens of a prompt: the user's message inside the model's chat template, or the text as it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace headrace::cli {

/// A template's input without messages, knowing the model's tokens for beginning and end of text.
ChatInput chat_input(const Tokenizer& tokenizer);

struct PromptText {
  std::string text;
  std::string system;  // empty: none
  bool raw = false;    // no template; spellings of special tokens in the text count as such
};

/// Without --raw the text is a message: nothing in it becomes a special token. A model that has no template
/// gets the text as it is, with a note. Fails with usage for a system prompt without a template to put it
/// into, or with the template's error.
Result<std::vector<int32_t>> encode_prompt(const Tokenizer& tokenizer, const PromptText& prompt);

}  // namespace headrace::cli
