// A checkpoint as Hugging Face publishes it: a folder with config.json, model.safetensors and tokenizer.json.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/result.h"
#include "formats/safetensors.h"

namespace headrace {

/// Of config.json, and of the small files beside it.
inline constexpr uint64_t kMaxConfigBytes = uint64_t{4} << 20;
/// Movable. Reading from several threads is safe.
class HfFolder {
 public:
  /// Reads config.json and opens model.safetensors. Fails with not_found, io, bad_model, or unsupported
  /// (weights in several files).
  static Result<HfFolder> open(const std::filesystem::path& path);
  /// The same from memory, without a tokenizer; the caller keeps `weights` alive and unchanged.
  static Result<HfFolder> parse(std::string name, std::string_view config,
                                std::span<const std::byte> weights);

  const std::string& name() const { return name_; }
  const nlohmann::json& config() const { return config_; }
  const SafetensorsFile& weights() const { return weights_; }

  /// The text of a file beside config.json, nothing if there is none; refused beyond `max_bytes`.
  Result<std::optional<std::string>> read(const char* file, uint64_t max_bytes = kMaxConfigBytes) const;

 private:
  HfFolder(std::string name, nlohmann::json config, SafetensorsFile weights)
      : name_(std::move(name)), config_(std::move(config)), weights_(std::move(weights)) {}

  std::string name_;
  std::optional<std::filesystem::path> path_;
  nlohmann::json config_;
  SafetensorsFile weights_;
};

}  // namespace headrace
