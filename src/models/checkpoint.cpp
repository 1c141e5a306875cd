#include "models/checkpoint.h"

#include "models/gguf_checkpoint.h"
#include "models/hf_checkpoint.h"

namespace headrace {

Result<std::unique_ptr<Checkpoint>> Checkpoint::of(const ModelFile& file) {
  return file.gguf() != nullptr ? open_gguf_checkpoint(*file.gguf()) : open_hf_checkpoint(*file.folder());
}

Result<uint64_t> Checkpoint::uint_or(std::string_view key, uint64_t otherwise) const {
  return has(key) ? uint(key) : otherwise;
}

Result<double> Checkpoint::number_or(std::string_view key, double otherwise) const {
  return has(key) ? number(key) : otherwise;
}

Result<bool> Checkpoint::boolean_or(std::string_view key, bool otherwise) const {
  return has(key) ? boolean(key) : otherwise;
}

Result<std::string> Checkpoint::string_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? string(key) : std::string(otherwise);
}

}  // namespace headrace
