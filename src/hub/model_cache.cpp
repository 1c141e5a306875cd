#include "hub/model_cache.h"

#include <sys/stat.h>

#include <optional>
#include <system_error>

#include "core/file.h"
#include "hub/part_file.h"

namespace headrace {
namespace {

constexpr uint64_t kMaxStampBytes = 1024;
constexpr int64_t kNanoseconds = 1'000'000'000;

std::filesystem::path stamp_path(const std::filesystem::path& file) {
  return file.string() + ".verified";
}

// What the stamp of the file as it is now would say; nothing if there is no file of the right size.
std::optional<std::string> stamp_of(const RegistryEntry& entry, const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  if (static_cast<uint64_t>(info.st_size) != entry.size) return std::nullopt;
  return fmt::format("{} {} {}\n", entry.sha256, entry.size,
                     info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec);
}

}  // namespace

Result<std::filesystem::path> cache_folder(const Environment& environment) {
  if (const auto folder = environment("HEADRACE_CACHE")) return std::filesystem::path(*folder);
  if (const auto folder = environment("XDG_CACHE_HOME")) return std::filesystem::path(*folder) / "headrace";
  if (const auto home = environment("HOME")) return std::filesystem::path(*home) / ".cache/headrace";
  return make_error(Errc::usage, "no folder for models: set HEADRACE_CACHE (HOME is not set either)");
}

std::filesystem::path model_path(const std::filesystem::path& cache, const RegistryEntry& entry) {
  return cache / "models" / folder_name(entry.name) / entry.file;
}

Result<std::filesystem::path> find_model(const std::vector<RegistryEntry>& registry,
                                         const std::filesystem::path& cache, std::string_view argument) {
  std::error_code code;
  if (std::filesystem::exists(argument, code)) return std::filesystem::path(argument);
  if (const RegistryEntry* entry = find_entry(registry, argument)) {
    const std::filesystem::path file = model_path(cache, *entry);
    if (is_verified(*entry, file)) return file;
    if (size_of_file(file)) {
      return make_error(Errc::bad_model, "{}: has changed since it was verified; run: headrace pull {}",
                        printable(file.string(), 4096), entry->name);
    }
    return make_error(Errc::not_found, "{} has not been downloaded; run: headrace pull {}", entry->name,
                      entry->name);
  }
  std::string names;
  for (const RegistryEntry& entry : registry) names += (names.empty() ? "" : ", ") + entry.name;
  return make_error(Errc::not_found, "{}: no such file, and no model of that name (there are: {})",
                    printable(argument), names);
}

Result<std::filesystem::path> find_model(std::string_view argument) {
  std::error_code code;
  // A path needs no cache folder, so it works without HOME.
  if (std::filesystem::exists(argument, code)) return std::filesystem::path(argument);
  HEADRACE_TRY(const std::filesystem::path cache, cache_folder(process_environment()));
  return find_model(builtin_registry(), cache, argument);
}

bool is_verified(const RegistryEntry& entry, const std::filesystem::path& file) {
  const std::optional<std::string> expected = stamp_of(entry, file);
  const Result<std::string> found = read_text(stamp_path(file), kMaxStampBytes);
  return expected && found && found.value() == *expected;
}

Status mark_verified(const RegistryEntry& entry, const std::filesystem::path& file) {
  const std::optional<std::string> stamp = stamp_of(entry, file);
  if (!stamp) return make_error(Errc::io, "{}: has changed while it was being checked", file.string());
  HEADRACE_TRY(PartFile out, PartFile::open_to_append(stamp_path(file)));
  HEADRACE_RETURN_IF_ERROR(out.truncate(0));
  return out.append(std::as_bytes(std::span(*stamp)));
}

}  // namespace headrace
