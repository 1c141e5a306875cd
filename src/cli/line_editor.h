// Line editing, arrow keys and pastes on a terminal, by libedit.
#pragma once

#include <memory>

#include "cli/line_source.h"

namespace headrace::cli {

/// Null if the terminal can't be used. The editor takes keys itself (input_bytes.h), so Ctrl-C and Ctrl-Z are
/// keys while a line is edited and signals otherwise. A pasted block never ends the line: a short one is
/// inserted, a long one stands as "[paste 1: 200 lines]" until the line is entered.
///
/// History is kept in memory and in history_file(). As long as the editor lives the terminal does not show
/// keys; what is typed between two calls of read() is kept for the second.
std::unique_ptr<LineSource> open_line_editor();

}  // namespace headrace::cli
