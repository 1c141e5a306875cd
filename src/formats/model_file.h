// What -m names: a GGUF file, or a folder as Hugging Face publishes it.
#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "core/result.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"

namespace headrace {

/// Movable. Reading from several threads is safe. Each error's message begins with name().
class ModelFile {
 public:
  /// Opens a GGUF file, a checkpoint's folder, or the config.json or model.safetensors inside one.
  static Result<ModelFile> open(const std::filesystem::path& path);

  ModelFile(GgufFile file) : form_(std::move(file)) {}      // NOLINT(google-explicit-constructor)
  ModelFile(HfFolder folder) : form_(std::move(folder)) {}  // NOLINT(google-explicit-constructor)

  /// The form that it has; nullptr for the other.
  const GgufFile* gguf() const { return std::get_if<GgufFile>(&form_); }
  const HfFolder* folder() const { return std::get_if<HfFolder>(&form_); }

  const std::string& name() const { return gguf() != nullptr ? gguf()->name() : folder()->name(); }
  /// Of the file with the weights.
  uint64_t file_bytes() const;
  const std::vector<FileTensor>& tensors() const;

 private:
  std::variant<GgufFile, HfFolder> form_;
};

}  // namespace headrace
