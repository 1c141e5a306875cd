#include "formats/model_file.h"

namespace headrace {

Result<ModelFile> ModelFile::open(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path folder = path;
  const std::filesystem::path file = path.filename();
  if (file == "config.json" || file == "model.safetensors") {
    folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  }
  if (!std::filesystem::is_directory(folder, ignored)) {
    HEADRACE_TRY(GgufFile gguf, GgufFile::open(path));
    return ModelFile(std::move(gguf));
  }
  HEADRACE_TRY(HfFolder checkpoint, HfFolder::open(folder));
  return ModelFile(std::move(checkpoint));
}

uint64_t ModelFile::file_bytes() const {
  return gguf() != nullptr ? gguf()->file_bytes() : folder()->weights().file_bytes();
}

const std::vector<FileTensor>& ModelFile::tensors() const {
  return gguf() != nullptr ? gguf()->tensors() : folder()->weights().tensors();
}

}  // namespace headrace
