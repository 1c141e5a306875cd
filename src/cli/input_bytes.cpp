#include "cli/input_bytes.h"

#include <poll.h>
#include <unistd.h>
#include <cerrno>

#include "cli/interrupt.h"

namespace headrace::cli {

InputBytes::Got InputBytes::next_byte() {
  for (;;) {
    if (interrupted()) {
      drain_signals();
      return {Kind::signal};
    }
    if (take_terminal_change()) return {Kind::changed};
    if (at_ < size_) return {Kind::byte, block_[at_++]};
    pollfd waiting[] = {{STDIN_FILENO, POLLIN, 0}, {signal_descriptor(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return {Kind::failed, 0, errno};
    }
    if (waiting[1].revents != 0) {
      drain_signals();
      continue;
    }
    const ssize_t count = ::read(STDIN_FILENO, block_.data(), block_.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // EIO is how a terminal says that it is gone.
    if (count < 0 && errno != EIO) return {Kind::failed, 0, errno};
    if (count <= 0) return {Kind::end};
    at_ = 0;
    size_ = static_cast<size_t>(count);
  }
}

}  // namespace headrace::cli
