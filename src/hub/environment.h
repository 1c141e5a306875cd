// Environment variables, as something a test can replace.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace headrace {

/// The value of a variable, or nothing if it is unset or empty.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// The variables of this process. getenv() must not run beside setenv() in another thread.
Environment process_environment();

}  // namespace headrace
