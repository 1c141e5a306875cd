#include "cli/interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "cli/exit_codes.h"

namespace headrace::cli {
namespace {

// A signal handler has no other way to reach the program.
std::atomic<bool> stop_requested{false};
std::atomic<bool> end_requested{false};
std::atomic<bool> conversing{false};
std::atomic<bool> terminal_changed{false};
std::atomic<int> wake_descriptor{-1};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void wake() {
  const int saved = errno;
  const uint64_t one = 1;
  // A full counter wakes as well as one that grew.
  [[maybe_unused]] const ssize_t written = ::write(wake_descriptor.load(), &one, sizeof one);
  errno = saved;
}

void on_signal(int number) {
  const bool ctrl_c = number == SIGINT;
  if (conversing && !ctrl_c) end_requested = true;
  if (stop_requested.exchange(true) && !(conversing && ctrl_c)) ::_exit(kExitInterrupted);
  wake();
}

void on_terminal_signal(int) {
  terminal_changed = true;
  wake();
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  // No SA_RESTART: a read from the terminal or a pipe must come back.
  ::sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void install_interrupt_handler() {
  wake_descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  // A file that reaches the limit of ulimit -f is an error of the write, like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
}

const std::atomic<bool>& interrupted() {
  return stop_requested;
}

void request_stop() {
  stop_requested.store(true);
}

void begin_conversation() {
  conversing = true;
  handle(SIGHUP, on_signal);
  handle(SIGWINCH, on_terminal_signal);
  handle(SIGCONT, on_terminal_signal);
}

bool told_to_end() {
  return end_requested;
}

void clear_interrupt() {
  stop_requested = false;
  // In this order: a signal in between sets both.
  if (end_requested) stop_requested = true;
}

int signal_descriptor() {
  return wake_descriptor;
}

void drain_signals() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_descriptor, &count, sizeof count);
}

bool take_terminal_change() {
  return terminal_changed.exchange(false);
}

}  // namespace headrace::cli
