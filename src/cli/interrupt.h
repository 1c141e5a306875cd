// Signals: what the user wants while the program is busy.
#pragma once

#include <atomic>

namespace headrace::cli {

/// Catches SIGINT and SIGTERM and ignores SIGPIPE and SIGXFSZ: work stops at the next step, a second signal ends the
/// program at once. Call once, before anything else runs.
void install_interrupt_handler();

/// True once the user wants to stop. The address is what long work takes as its `cancel`.
const std::atomic<bool>& interrupted();

/// As if the user had pressed Ctrl-C: for a caller inside long work that has a reason of its own to stop.
void request_stop();

/// From now on Ctrl-C stops work and nothing else, however often it is pressed; SIGHUP, like SIGTERM, asks
/// the program to end. The terminal's signals (size, return from the background) are caught, too.
void begin_conversation();

/// Whether SIGTERM or SIGHUP came since begin_conversation().
bool told_to_end();

/// Ctrl-C has been dealt with. Without effect once the program was told to end.
void clear_interrupt();

/// Readable when a signal came since drain_signals(): for poll() beside what else may come.
int signal_descriptor();
void drain_signals();

/// Whether the terminal's size changed, or the program came back from the background, since the last call.
bool take_terminal_change();

}  // namespace headrace::cli
