#include "core/memory_ledger.h"

#include <algorithm>

#include "core/file.h"

namespace headrace {

std::string_view name_of(MemoryUse use) {
  switch (use) {
    case MemoryUse::weights:
      return "weights";
    case MemoryUse::kv:
      return "KV cache";
    case MemoryUse::scratch:
      return "scratch";
    case MemoryUse::activations:
      return "activations";
    case MemoryUse::drafts:
      return "drafts";
    case MemoryUse::host:
      return "program";
  }
  return "unknown";
}

Status MemoryLedger::reserve(MemoryUse use, uint64_t bytes, std::string_view what, std::string_view hint) {
  if (whole_ != nullptr) HEADRACE_RETURN_IF_ERROR(whole_->reserve(use_in_whole_, bytes, what, hint));
  const std::lock_guard lock(mutex_);
  const uint64_t free = whole_ != nullptr ? bytes : cap_ - std::min(cap_, total_);
  if (bytes > free) {
    return make_error(Errc::out_of_budget, "{}: {} bytes needed ({}), {} bytes free ({}){}{}", what, bytes,
                      human_bytes(bytes), free, human_bytes(free), hint.empty() ? "" : "; ", hint);
  }
  const auto index = static_cast<size_t>(use);
  total_ += bytes;
  used_[index] += bytes;
  high_water_[index] = std::max(high_water_[index], used_[index]);
  return {};
}

void MemoryLedger::release(MemoryUse use, uint64_t bytes) {
  if (whole_ != nullptr) whole_->release(use_in_whole_, bytes);
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(use);
  HEADRACE_CHECK(used_[index] >= bytes);
  total_ -= bytes;
  used_[index] -= bytes;
}

uint64_t MemoryLedger::used() const {
  if (whole_ != nullptr) return whole_->used();
  const std::lock_guard lock(mutex_);
  return total_;
}
uint64_t MemoryLedger::used(MemoryUse use) const {
  const std::lock_guard lock(mutex_);
  return used_[static_cast<size_t>(use)];
}
uint64_t MemoryLedger::high_water(MemoryUse use) const {
  const std::lock_guard lock(mutex_);
  return high_water_[static_cast<size_t>(use)];
}

}  // namespace headrace
