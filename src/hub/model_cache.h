// Where downloaded models lie, and what `-m NAME` means.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "hub/environment.h"
#include "hub/registry.h"

namespace headrace {

/// $HEADRACE_CACHE, else $XDG_CACHE_HOME/headrace, else ~/.cache/headrace. Creates nothing. Fails with usage
/// if no variable says where.
Result<std::filesystem::path> cache_folder(const Environment& environment);

/// <cache>/models/<name>/<file>, whether it is there or not.
std::filesystem::path model_path(const std::filesystem::path& cache, const RegistryEntry& entry);

/// The file that a user means by `-m ARGUMENT`: an existing path, or else the short name of a downloaded
/// model. Fails with not_found; the message says which command would help, or which names there are. Does not
/// look into the file.
Result<std::filesystem::path> find_model(const std::vector<RegistryEntry>& registry,
                                         const std::filesystem::path& cache, std::string_view argument);

/// The same with the built-in registry and this process's cache folder.
Result<std::filesystem::path> find_model(std::string_view argument);

/// True if the file has the entry's size and has not changed since mark_verified().
bool is_verified(const RegistryEntry& entry, const std::filesystem::path& file);

/// Notes beside the file that its checksum was found right.
Status mark_verified(const RegistryEntry& entry, const std::filesystem::path& file);

}  // namespace headrace
