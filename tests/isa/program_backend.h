// The backend of a program that compare.sh runs: the tier that HEADRACE_CPU names ("reference" and "fake",
// the reference as a fake device, too) or the best.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace headrace::isa {

/// Exit status of a program that was asked for a tier which this machine lacks: CTest shows it as skipped.
inline constexpr int kSkipped = 77;

/// Says "tier: NAME" on stderr, which compare.sh reads; exits where the tier cannot be had.
std::unique_ptr<Backend> program_backend();

}  // namespace headrace::isa
