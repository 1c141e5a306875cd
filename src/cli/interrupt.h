// Ctrl-C: work stops at the next step, a second one ends the program at once.
#pragma once

#include <atomic>

namespace headrace::cli {

/// Catches SIGINT and SIGTERM and ignores SIGPIPE. Call once, before anything else runs.
void install_interrupt_handler();

/// True once the user wants to stop. The address is what long work takes as its `cancel`.
const std::atomic<bool>& interrupted();

/// As if the user had pressed Ctrl-C: for a caller inside long work that has a reason of its own to stop.
void request_stop();

}  // namespace headrace::cli
