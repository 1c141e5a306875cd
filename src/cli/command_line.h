// The program from the outside: arguments in, exit code out.
#pragma once

namespace headrace::cli {

/// Runs the verb that `argv` names and returns the exit code (exit_codes.h). Errors are one line on standard
/// error: "headrace: error: ...".
int run_command_line(int argc, const char* const* argv);

}  // namespace headrace::cli
