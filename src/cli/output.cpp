#include "cli/output.h"

#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/exit_codes.h"
#include "core/log.h"

namespace headrace::cli {
namespace {

// Past the stream, which would lose text when Ctrl-C interrupts the system call.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

Status write_out(std::string_view text) {
  std::fflush(stdout);
  if (write_all(STDOUT_FILENO, text)) return {};
  if (errno == EPIPE) std::_Exit(kExitOk);
  return make_error(Errc::io, "standard output: {}", std::strerror(errno));
}

Status write_json(const Json& value) {
  return write_out(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void note(std::string_view line) {
  std::fflush(stdout);
  // A standard error that takes nothing leaves no place to complain.
  write_all(STDERR_FILENO, std::string(line) + '\n');
}

void warn(std::string_view message) {
  spdlog::warn("{}", message);
}

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

}  // namespace headrace::cli
