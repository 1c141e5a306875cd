// Every byte has an owner: the ledger knows who holds how much, has a hard cap, and refuses before the system
// does (papers: SpecMemo). Devices and the cache charge it before they allocate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "core/result.h"

namespace headrace {

enum class MemoryUse { weights, kv, scratch, activations, drafts, host };
inline constexpr size_t kMemoryUses = 6;
std::string_view name_of(MemoryUse use);

/// Thread-safe.
class MemoryLedger {
 public:
  explicit MemoryLedger(uint64_t cap_bytes) : cap_(cap_bytes) {}
  /// A part of another one, which must outlive it: all that is booked here is booked there, as `use`. Cap and
  /// total are the whole's, the uses are the part's own.
  MemoryLedger(MemoryLedger& whole, MemoryUse use) : whole_(&whole), use_in_whole_(use), cap_(whole.cap()) {}

  /// Books `bytes`, or refuses with out_of_budget: the message names bytes needed and free, and `hint` (the
  /// flag that would help).
  Status reserve(MemoryUse use, uint64_t bytes, std::string_view what, std::string_view hint = {});
  void release(MemoryUse use, uint64_t bytes);

  uint64_t cap() const { return cap_; }
  uint64_t used() const;
  uint64_t used(MemoryUse use) const;
  uint64_t high_water(MemoryUse use) const;

 private:
  MemoryLedger* whole_ = nullptr;
  MemoryUse use_in_whole_ = MemoryUse::weights;
  mutable std::mutex mutex_;
  uint64_t cap_;
  uint64_t total_ = 0;
  std::array<uint64_t, kMemoryUses> used_{};
  std::array<uint64_t, kMemoryUses> high_water_{};
};

}  // namespace headrace
