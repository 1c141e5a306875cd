#include "cli/output.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/exit_codes.h"
#include "core/log.h"

namespace headrace::cli {

Status write_out(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return {};
  if (errno == EPIPE) std::_Exit(kExitOk);
  return make_error(Errc::io, "standard output: {}", std::strerror(errno));
}

Status write_json(const Json& value) {
  return write_out(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void note(std::string_view line) {
  std::fflush(stdout);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fputc('\n', stderr);
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
