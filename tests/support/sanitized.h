// Whether this build runs under a sanitizer, which makes everything five to forty times slower: tests that
// repeat something until rare cases have come repeat it less there, and wait longer for a program.
#pragma once

namespace headrace::testing {

#ifdef HEADRACE_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Trials of an exactness check in which every pair of events still occurs.
inline constexpr unsigned kExactnessTrials = kSanitized ? 60 : 200;

}  // namespace headrace::testing
