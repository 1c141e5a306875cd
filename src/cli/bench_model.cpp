#include "cli/bench_model.h"

#include <algorithm>
#include <array>

namespace headrace::cli {
namespace {

std::string size_label(uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  if (parameters < 1000000) return fmt::format("{:.0f}K", count / 1e3);
  if (parameters < 1000000000) return fmt::format("{:.0f}M", count / 1e6);
  return fmt::format("{:.1f}B", count / 1e9);
}

}  // namespace

std::string model_type_text(const ModelFile& file, const ModelInfo& info) {
  std::array<uint64_t, kDTypes> bytes{};
  for (const FileTensor& tensor : file.tensors())
    bytes[static_cast<size_t>(tensor.type)] += tensor.data.size();
  const auto most = static_cast<DType>(std::ranges::max_element(bytes) - bytes.begin());
  return fmt::format("{} {} {}", info.architecture, size_label(info.parameters), name_of(most));
}

uint64_t tensor_bytes(const ModelFile& file) {
  uint64_t bytes = 0;
  for (const FileTensor& tensor : file.tensors()) bytes += tensor.data.size();
  return bytes;
}

uint64_t weights_per_token(const ModelFile& file, const ModelInfo& info) {
  if (info.tied_output) return info.weight_bytes;
  for (const FileTensor& tensor : file.tensors()) {
    if (tensor.name != "token_embd.weight" && tensor.name != "model.embed_tokens.weight") continue;
    return info.weight_bytes - std::min<uint64_t>(info.weight_bytes, tensor.data.size());
  }
  return info.weight_bytes;
}

}  // namespace headrace::cli
