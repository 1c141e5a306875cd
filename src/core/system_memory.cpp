#include "core/system_memory.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace headrace {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// A file's only number, or `otherwise` where the file is missing or says "max".
uint64_t read_number(const fs::path& path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : otherwise;
}

// The number behind `key` in a file of "key number ..." lines.
uint64_t read_entry(const fs::path& path, const std::string& key, uint64_t otherwise) {
  std::ifstream file(path);
  std::string found;
  uint64_t value = 0;
  std::string rest;
  while (file >> found >> value) {
    if (found == key) return value;
    std::getline(file, rest);
  }
  return otherwise;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // entry of memory.stat: file pages that nobody used lately
};

uint64_t left_in_group(const fs::path& folder, const GroupFiles& files) {
  const uint64_t limit = read_number(folder / files.limit, kUnlimited);
  if (limit == kUnlimited) return kUnlimited;
  const uint64_t usage = read_number(folder / files.usage, 0);
  const uint64_t kept = usage - std::min(usage, read_entry(folder / "memory.stat", files.reclaimable, 0));
  return limit - std::min(limit, kept);
}

// The least that the group `path` below `mount`, or any group around it, leaves.
uint64_t left_in_tree(const fs::path& mount, const fs::path& path, const GroupFiles& files) {
  uint64_t left = left_in_group(mount, files);
  fs::path folder = mount;
  for (const fs::path& part : path.relative_path()) {
    folder /= part;
    left = std::min(left, left_in_group(folder, files));
  }
  return left;
}

}  // namespace

uint64_t available_memory_bytes(const fs::path& root) {
  const uint64_t kib = read_entry(root / "proc/meminfo", "MemAvailable:", kUnlimited);
  uint64_t available = kib == kUnlimited ? kUnlimited : kib * 1024;
  constexpr GroupFiles kVersion2 = {"memory.max", "memory.current", "inactive_file"};
  constexpr GroupFiles kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

  // Lines are "number:controllers:path"; version 2 has no controllers.
  std::ifstream groups(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path path = line.substr(second + 1);
    if (controllers == ",,") {
      available = std::min(available, left_in_tree(root / "sys/fs/cgroup", path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      available = std::min(available, left_in_tree(root / "sys/fs/cgroup/memory", path, kVersion1));
    }
  }
  return available;
}

uint64_t own_memory_bytes(const fs::path& root) {
#ifdef HEADRACE_SANITIZED
  // What a sanitizer maps for itself is terabytes and part of nobody's plan: a fixed number stands for the
  // rest.
  constexpr uint64_t kInstrumented = uint64_t{64} << 20;
  if (root == "/") return kInstrumented;
#endif
  std::ifstream file(root / "proc/self/status");
  std::string line;
  constexpr std::string_view kKey = "VmData:";  // kB
  while (std::getline(file, line)) {
    if (line.starts_with(kKey)) return std::strtoull(line.c_str() + kKey.size(), nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace headrace
