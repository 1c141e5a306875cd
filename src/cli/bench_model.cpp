#include "cli/bench_model.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace headrace::cli {
namespace {

std::string size_label(uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  if (parameters < 1000000) return fmt::format("{:.0f}K", count / 1e3);
  if (parameters < 1000000000) return fmt::format("{:.0f}M", count / 1e6);
  return fmt::format("{:.1f}B", count / 1e9);
}

// What GGUF's general.file_type says, as llama-bench spells it. A file may well hold more bytes of another
// type.
constexpr uint64_t kNoFileType = UINT64_MAX;
constexpr std::pair<uint64_t, std::string_view> kFileTypes[] = {
    {0, "all F32"}, {1, "F16"},           {2, "Q4_0"},           {3, "Q4_1"},          {7, "Q8_0"},
    {8, "Q5_0"},    {14, "Q4_K - Small"}, {15, "Q4_K - Medium"}, {16, "Q5_K - Small"}, {17, "Q5_K - Medium"},
    {18, "Q6_K"},   {32, "BF16"},
};

std::optional<std::string_view> file_type(const ModelFile& file) {
  if (file.gguf() == nullptr) return std::nullopt;
  const Result<uint64_t> number = file.gguf()->uint_or("general.file_type", kNoFileType);
  for (const auto& [known, name] : kFileTypes) {
    if (number && *number == known) return name;
  }
  return std::nullopt;
}

DType commonest_type(const ModelFile& file) {
  std::array<uint64_t, kDTypes> bytes{};
  for (const FileTensor& tensor : file.tensors())
    bytes[static_cast<size_t>(tensor.type)] += tensor.data.size();
  return static_cast<DType>(std::ranges::max_element(bytes) - bytes.begin());
}

}  // namespace

std::string model_type_text(const ModelFile& file, const ModelInfo& info) {
  return fmt::format("{} {} {}", info.architecture, size_label(info.parameters),
                     file_type(file).value_or(name_of(commonest_type(file))));
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
