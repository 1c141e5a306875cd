#include "cli/exit_codes.h"

namespace headrace::cli {

int exit_code_of(Errc code) {
  switch (code) {
    case Errc::usage:
      return kExitUsage;
    case Errc::not_found:
      return kExitNotFound;
    case Errc::io:
    case Errc::incomplete:
      return kExitFailure;
    case Errc::bad_model:
    case Errc::unsupported:
      return kExitBadModel;
    case Errc::out_of_budget:
      return kExitOutOfBudget;
    case Errc::network:
      return kExitNetwork;
    case Errc::mismatch:
      return kExitMismatch;
    case Errc::cancelled:
      return kExitInterrupted;
  }
  return kExitFailure;
}

const char* exit_code_help() {
  return "Exit codes:\n"
         "  0    done\n"
         "  1    failed: reading, writing, or a check that did not cover all\n"
         "  2    wrong flags or values\n"
         "  3    model file is corrupt or not supported\n"
         "  4    memory or context would not suffice\n"
         "  5    no such file or model\n"
         "  6    a download failed\n"
         "  7    results differ that must have the same bits (verify)\n"
         "  130  interrupted (Ctrl-C)\n";
}

}  // namespace headrace::cli
