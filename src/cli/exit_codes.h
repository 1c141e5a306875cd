// What the program's exit code says. Scripts rely on it: a number never changes its meaning.
#pragma once

#include "core/result.h"

namespace headrace::cli {

inline constexpr int kExitOk = 0;  // also when the reader of standard output has gone away
inline constexpr int kExitFailure =
    1;  // what has no code of its own: input and output errors, incomplete checks
inline constexpr int kExitUsage = 2;          // wrong flags or values
inline constexpr int kExitBadModel = 3;       // a model file is corrupt or not supported
inline constexpr int kExitOutOfBudget = 4;    // memory or context would not suffice
inline constexpr int kExitNotFound = 5;       // no such file or model
inline constexpr int kExitNetwork = 6;        // a download failed
inline constexpr int kExitMismatch = 7;       // results differ that must have the same bits (verify)
inline constexpr int kExitInterrupted = 130;  // Ctrl-C or SIGTERM

int exit_code_of(Errc code);

/// The table above, for --help.
const char* exit_code_help();

}  // namespace headrace::cli
