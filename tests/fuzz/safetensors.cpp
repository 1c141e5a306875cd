// Safetensors files: what parses has unique names, and tensors that fill the data without gap or overlap.
#include "formats/safetensors.h"

#include <set>

#include "refusal.h"

namespace headrace {
namespace {

constexpr std::string_view kName = "fuzz.safetensors";

void check_tensors(const SafetensorsFile& file, std::span<const std::byte> bytes) {
  std::set<std::string_view> names;
  uint64_t total = 0;
  size_t touched = 0;
  for (const FileTensor& tensor : file.tensors()) {
    HEADRACE_CHECK(names.insert(tensor.name).second);
    const FileTensor* found = file.find_tensor(tensor.name);
    HEADRACE_CHECK(found != nullptr && found->data.data() == tensor.data.data());
    HEADRACE_CHECK(tensor.n_dims >= 1 && tensor.n_dims <= kMaxTensorDims);
    HEADRACE_CHECK(tensor.data.size() == bytes_of(tensor.type, tensor.row_elements() * tensor.rows()));
    HEADRACE_CHECK(tensor.offset <= bytes.size() && tensor.data.size() <= bytes.size() - tensor.offset);
    HEADRACE_CHECK(tensor.data.data() == bytes.data() + tensor.offset);
    for (const std::byte byte : tensor.data) touched += static_cast<size_t>(byte);
    total += tensor.data.size();
    file.drop(tensor);
  }
  HEADRACE_CHECK(touched <= bytes.size() * 255);
  uint64_t header = 0;
  for (size_t i = 0; i < sizeof header; ++i) header |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  HEADRACE_CHECK(sizeof header + header + total == bytes.size());
  HEADRACE_CHECK(file.find_tensor("a tensor that no file has") == nullptr);
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = SafetensorsFile::parse(std::string(kName), bytes);
  if (!file) {
    testing::check_refusal(file.error(), kName);
    return 0;
  }
  HEADRACE_CHECK(file->file_bytes() == size && file->name() == kName);
  check_tensors(*file, bytes);
  return 0;
}
