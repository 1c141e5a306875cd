// Counts what the process takes from the heap or the kernel while counting is on, on all threads. Linking
// allocation_counter.cpp into a program replaces its operator new, malloc with its relatives, mmap and
// mremap. Under a sanitizer, which needs those for itself, nothing is replaced.
#pragma once

#include <cstdint>

namespace headrace::engine_testing {

struct Allocations {
  uint64_t news = 0;
  uint64_t mallocs = 0;  // calloc, realloc and the aligned ones, too
  uint64_t maps = 0;     // mmap and mremap
  uint64_t grown = 0;    // bytes by which the program break rose

  uint64_t all() const { return news + mallocs + maps + (grown > 0 ? 1 : 0); }
};

/// One at a time.
void start_counting();
Allocations stop_counting();

/// Writes to stderr where the first allocations came from that were counted since the program began.
void print_first_allocations();

}  // namespace headrace::engine_testing
