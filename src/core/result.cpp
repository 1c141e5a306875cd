#include "core/result.h"

#include <cstdio>
#include <cstdlib>

namespace headrace {

std::string_view name_of(Errc code) {
  switch (code) {
    case Errc::usage:
      return "usage";
    case Errc::not_found:
      return "not found";
    case Errc::io:
      return "input/output";
    case Errc::bad_model:
      return "bad model";
    case Errc::unsupported:
      return "unsupported";
    case Errc::out_of_budget:
      return "out of budget";
    case Errc::network:
      return "network";
    case Errc::cancelled:
      return "cancelled";
    case Errc::mismatch:
      return "mismatch";
    case Errc::incomplete:
      return "incomplete";
  }
  return "unknown";
}

Error Error::in(std::string_view context) && {
  return Error{code, fmt::format("{}: {}", context, message)};
}

void panic(std::string_view message, const char* file, int line) {
  fmt::print(stderr, "headrace: internal error at {}:{}: {}\n", file, line, message);
  std::abort();
}

}  // namespace headrace
