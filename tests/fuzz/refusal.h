// What every reader promises about refusing a file.
#pragma once

#include <limits>
#include <string_view>

#include "core/file.h"
#include "core/result.h"

namespace headrace::testing {

/// No control characters, valid UTF-8: nothing that a terminal would obey.
inline bool is_printable_text(std::string_view text) {
  return printable(text, std::numeric_limits<size_t>::max()) == text;
}

/// The error blames the file, beginning with its name, or the budget; it is safe to print.
inline void check_refusal(const Error& error, std::string_view name) {
  HEADRACE_CHECK(error.code == Errc::bad_model || error.code == Errc::unsupported ||
                 error.code == Errc::out_of_budget);
  HEADRACE_CHECK(error.code == Errc::out_of_budget || error.message.starts_with(name));
  HEADRACE_CHECK(is_printable_text(error.message));
}

}  // namespace headrace::testing
