#include "core/memory_ledger.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

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
  }
  return "unknown";
}

Status MemoryLedger::reserve(MemoryUse use, uint64_t bytes, std::string_view what, std::string_view hint) {
  const std::lock_guard lock(mutex_);
  const uint64_t free = cap_ - std::min(cap_, total_);
  if (bytes > free) {
    return make_error(Errc::out_of_budget, "{} needs {} bytes ({}), {} bytes ({}) are free{}{}", what, bytes,
                      human_bytes(bytes), free, human_bytes(free), hint.empty() ? "" : "; ", hint);
  }
  const auto index = static_cast<size_t>(use);
  total_ += bytes;
  used_[index] += bytes;
  high_water_[index] = std::max(high_water_[index], used_[index]);
  return {};
}

void MemoryLedger::release(MemoryUse use, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(use);
  HEADRACE_CHECK(used_[index] >= bytes);
  total_ -= bytes;
  used_[index] -= bytes;
}

uint64_t MemoryLedger::used() const {
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

namespace {

// A control group's number, or nothing where the file is missing or says "max".
uint64_t read_number(const std::string& path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : otherwise;
}

uint64_t meminfo_available() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  uint64_t kib = 0;
  std::string unit;
  while (file >> key >> kib) {
    std::getline(file, unit);
    if (key == "MemAvailable:") return kib * 1024;
  }
  return std::numeric_limits<uint64_t>::max();
}

}  // namespace

uint64_t available_memory_bytes() {
  constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
  uint64_t available = meminfo_available();
  const std::string v2 = "/sys/fs/cgroup/";
  const uint64_t limit = read_number(v2 + "memory.max", kUnlimited);
  if (limit != kUnlimited) {
    available = std::min(available, limit - std::min(limit, read_number(v2 + "memory.current", 0)));
  }
  const std::string v1 = "/sys/fs/cgroup/memory/";
  const uint64_t limit_v1 = read_number(v1 + "memory.limit_in_bytes", kUnlimited);
  if (limit_v1 != kUnlimited) {
    available =
        std::min(available, limit_v1 - std::min(limit_v1, read_number(v1 + "memory.usage_in_bytes", 0)));
  }
  return available;
}

}  // namespace headrace
