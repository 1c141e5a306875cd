// One turn of a conversation: a message goes in, the answer streams out.
#pragma once

#include <cstdint>
#include <string>

#include "cli/chat_settings.h"
#include "cli/conversation.h"
#include "cli/full_context.h"
#include "cli/line_source.h"
#include "cli/open_model.h"
#include "core/result.h"

namespace headrace::cli {

struct TurnOptions {
  OnFull on_full = OnFull::ask;
  bool quiet = false;
  bool verbose = false;
};

/// Makes sure that message and answer fit, then writes the answer to standard output and adds both to the
/// conversation. Ctrl-C ends the answer: what came of it stays in the conversation. A message whose answer
/// has not begun is taken back. Fails, with the conversation as before, as the template and
/// handle_full_context() do, and with io.
Status take_turn(OpenModel& model, const ChatSettings& settings, const TurnOptions& options,
                 Conversation& conversation, LineSource& source, std::string message);

}  // namespace headrace::cli
