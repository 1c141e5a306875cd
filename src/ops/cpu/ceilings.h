// What this machine could do at best: how fast it reads memory, and how fast its arithmetic runs when nothing
// has to be fetched. Speeds of a model mean something only beside these, measured in the same run.
#pragma once

#include <cstddef>

#include "core/memory_ledger.h"
#include "core/result.h"
#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

struct Ceilings {
  size_t threads = 0;
  size_t stream_bytes = 0;       // of the large buffer: less than kStreamBytes where memory is short
  double read_stream = 0;        // bytes a second, far beyond the caches
  double read_stream_small = 0;  // bytes a second over kSmallStreamBytes, which large caches hold
  double int8_ops = 0;           // additions and multiplications a second
  double f32_ops = 0;
};

inline constexpr size_t kStreamBytes = size_t{1} << 30;
inline constexpr size_t kSmallStreamBytes = size_t{64} << 20;

/// Measures with `threads` threads, in about two seconds. The large buffer takes at most half of what
/// `ledger` has left and is given back. Fails with out_of_budget if there is no room for a buffer at all.
Result<Ceilings> measure_ceilings(const KernelTable& kernels, size_t threads, MemoryLedger& ledger);

}  // namespace headrace::cpu
