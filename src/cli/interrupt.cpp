#include "cli/interrupt.h"

#include <unistd.h>
#include <csignal>

#include "cli/exit_codes.h"

namespace headrace::cli {
namespace {

// A signal handler has no other way to reach the program.
std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) {
  if (stop_requested.exchange(true)) ::_exit(kExitInterrupted);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  // No SA_RESTART: a read from the terminal or a pipe must come back.
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

const std::atomic<bool>& interrupted() {
  return stop_requested;
}

void request_stop() {
  stop_requested.store(true);
}

}  // namespace headrace::cli
