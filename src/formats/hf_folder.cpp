#include "formats/hf_folder.h"

#include <limits>

#include "core/file.h"
#include "formats/json_text.h"

namespace headrace {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// Unlike read_text(), for regular files only: a pipe in a folder would wait for ever.
Result<std::string> read_regular(const std::filesystem::path& path, uint64_t max_bytes) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) return read_text(path, max_bytes);
  return make_error(Errc::io, "{}: not a regular file",
                    printable(path.string(), std::numeric_limits<size_t>::max()));
}

}  // namespace

Result<HfFolder> HfFolder::open(const std::filesystem::path& path) {
  std::string name = printable(path.string(), std::numeric_limits<size_t>::max());
  std::error_code ignored;
  if (!std::filesystem::exists(path / kConfig, ignored)) {
    return make_error(Errc::not_found, "{}: a folder without {}: neither a model file nor a checkpoint", name,
                      kConfig);
  }
  if (!std::filesystem::exists(path / kWeights, ignored)) {
    if (std::filesystem::exists(path / kIndex, ignored)) {
      return make_error(Errc::unsupported, "{}: weights in several files are not supported, only one {}",
                        name, kWeights);
    }
    return make_error(Errc::not_found, "{}: {} is missing", name, kWeights);
  }
  HEADRACE_TRY(const std::string text, read_regular(path / kConfig, kMaxConfigBytes));
  HEADRACE_TRY(nlohmann::json config, parse_json_object(name + "/" + kConfig, text));
  HEADRACE_TRY(SafetensorsFile weights, SafetensorsFile::open(path / kWeights));
  HfFolder folder(std::move(name), std::move(config), std::move(weights));
  folder.path_ = path;
  return folder;
}

Result<HfFolder> HfFolder::parse(std::string name, std::string_view config,
                                 std::span<const std::byte> weights) {
  HEADRACE_TRY(nlohmann::json json, parse_json_object(name + "/" + kConfig, config));
  HEADRACE_TRY(SafetensorsFile file, SafetensorsFile::parse(name + "/" + kWeights, weights));
  return HfFolder(std::move(name), std::move(json), std::move(file));
}

Result<std::optional<std::string>> HfFolder::read(const char* file, uint64_t max_bytes) const {
  std::error_code ignored;
  if (!path_ || !std::filesystem::exists(*path_ / file, ignored)) return std::optional<std::string>();
  HEADRACE_TRY(std::string text, read_regular(*path_ / file, max_bytes));
  return std::optional<std::string>(std::move(text));
}

}  // namespace headrace
