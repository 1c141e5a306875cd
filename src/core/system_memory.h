// What the system lets this process have.
#pragma once

#include <cstdint>
#include <filesystem>

namespace headrace {

/// Bytes that this process may still take: the least of the system's available memory and what the limits of
/// its control groups (version 1 and 2, up to the root of their tree) leave. File pages that a group can give
/// back count as free. `root` is where /proc and /sys are looked for.
uint64_t available_memory_bytes(const std::filesystem::path& root = "/");

/// Bytes of memory of its own that this process has asked for, used or not: what `ulimit -d` counts. 0 where
/// the system does not tell.
uint64_t own_memory_bytes(const std::filesystem::path& root = "/");

}  // namespace headrace
