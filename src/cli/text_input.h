// The text that a verb works on, from -p, -f FILE or standard input.
#pragma once

#include <string>
#include <string_view>

#include "cli/options.h"
#include "core/result.h"

namespace headrace::cli {

/// Fails with usage unless exactly one of -p and -f was given; otherwise as read_text().
Result<std::string> read_input(const TextFlags& flags);

/// Warns if the text is not UTF-8: then tokenizers read U+FFFD for each invalid sequence.
void warn_unless_utf8(std::string_view text);

}  // namespace headrace::cli
