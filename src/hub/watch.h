// How a caller watches a long piece of work, and stops it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace headrace {

struct Watch {
  /// Bytes done of `total`; called often (every few KiB), from the working thread. May be empty.
  std::function<void(uint64_t done, uint64_t total)> progress;
  /// Turns true, from any thread or a signal handler, to stop the work. May be null.
  const std::atomic<bool>* cancel = nullptr;

  bool cancelled() const { return cancel != nullptr && cancel->load(std::memory_order_relaxed); }
  void report(uint64_t done, uint64_t total) const {
    if (progress) progress(done, total);
  }
};

}  // namespace headrace
