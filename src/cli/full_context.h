// What happens when a conversation outgrows its context: the user is told and chooses. Nothing is ever cut
// silently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/conversation.h"
#include "cli/line_source.h"
#include "core/result.h"

namespace headrace::cli {

enum class OnFull {
  ask,
  drop,  // the oldest exchanges, and say so
  stop,  // the program, with out_of_budget
};

/// A place where the context does not suffice.
struct FullContext {
  size_t used = 0;          // tokens of the prompt
  size_t context = 0;       // tokens that there are
  size_t room = 0;          // tokens that an answer wants
  bool answer_cut = false;  // the answer has run into the end, rather than not begun
};

enum class Choice {
  dropped,  // exchanges went, the prompt fits now
  go_on,    // without change, in the room that is left
  leave,    // the message is not sent; a cut answer stays as it is
};

/// Tells and asks, and drops what the user wants dropped. `conversation` is in its turn. Fails with
/// out_of_budget for OnFull::stop, and without a person to ask where dropping doesn't suffice.
Result<Choice> handle_full_context(const FullContext& full, OnFull on_full, Conversation& conversation,
                                   LineSource& source);

}  // namespace headrace::cli
