#include "models/weight_loader.h"

#include <algorithm>

#include "core/checked.h"
#include "core/file.h"
#include "tensor/blocks.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;
// Room for vectors that are computed (RoPE frequencies), not read.
constexpr uint64_t kConstantBytes = 1 << 16;

std::string expected_shape(uint64_t k, uint64_t n) {
  return n == 1 ? fmt::format("[{}]", k) : fmt::format("[{}, {}]", k, n);
}

}  // namespace

Result<WeightLoader> WeightLoader::create(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options) {
  WeightLoader loader(file, backend, options);
  uint64_t bytes = kConstantBytes;
  for (const GgufTensor& tensor : file.tensors()) {
    // A matrix in the backend's layout, or a vector as floats, whichever is more: this bounds both.
    const uint64_t rows = tensor.rows();
    const uint64_t k = tensor.row_elements();
    if (rows > UINT32_MAX || k > kMaxVectorElements) {
      return make_error(Errc::bad_model, "{}: tensor {}: shape {} is beyond any supported model", file.name(),
                        printable(tensor.name), shape_text(tensor));
    }
    const uint64_t as_vector = rows == 1 ? k * sizeof(float) : 0;
    const uint64_t as_matrix =
        backend.packed_bytes(tensor.type, static_cast<uint32_t>(rows), static_cast<uint32_t>(k));
    const uint64_t packed = std::max(as_vector, as_matrix);
    const auto sum = checked_add(bytes, round_up(packed, kAlignment));
    if (!sum) return make_error(Errc::bad_model, "{}: tensor sizes overflow", file.name());
    bytes = *sum;
    loader.total_ += tensor.data.size();
  }
  HEADRACE_TRY(loader.buffer_,
               backend.allocate(ledger, MemoryUse::weights, bytes, fmt::format("{}: weights", file.name())));
  return loader;
}

WeightLoader WeightLoader::checker(const GgufFile& file, Backend& backend, const LoadOptions& options) {
  WeightLoader loader(file, backend, options);
  loader.checks_only_ = true;
  return loader;
}

Result<const GgufTensor*> WeightLoader::take(const std::string& name, uint64_t k, uint64_t n) {
  if (options_.cancel != nullptr && options_.cancel->load()) {
    return make_error(Errc::cancelled, "{}: loading was interrupted", file_.name());
  }
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr) return make_error(Errc::bad_model, "{}: tensor {} is missing", file_.name(), name);
  if (tensor->row_elements() != k || tensor->rows() != n || tensor->dims[1] != n) {
    return make_error(Errc::bad_model, "{}: tensor {}: expected shape {}, found {}", file_.name(), name,
                      expected_shape(k, n), shape_text(*tensor));
  }
  taken_.insert(name);
  return tensor;
}

std::byte* WeightLoader::place(size_t bytes) {
  HEADRACE_CHECK(used_ + bytes <= buffer_.size());
  std::byte* at = buffer_.data() + used_;
  used_ += round_up(bytes, kAlignment);
  return at;
}

void WeightLoader::report(const GgufTensor& tensor) {
  file_.drop(tensor);
  done_ += tensor.data.size();
  if (options_.progress) options_.progress(done_, total_);
}

Result<Linear> WeightLoader::linear(const std::string& name, uint64_t n, uint64_t k, Split split) {
  HEADRACE_TRY(const GgufTensor* tensor, take(name, k, n));
  const auto n32 = static_cast<uint32_t>(n);
  const auto k32 = static_cast<uint32_t>(k);
  if (checks_only_) return Linear{.weight = {tensor->type, n32, k32, nullptr}, .bias = {}, .split = split};
  std::byte* packed = place(backend_.packed_bytes(tensor->type, n32, k32));
  backend_.pack(tensor->type, n32, k32, tensor->data.data(), packed);
  report(*tensor);
  return Linear{.weight = {tensor->type, n32, k32, packed}, .bias = {}, .split = split};
}

Status WeightLoader::add_bias(Linear& linear, const std::string& name) {
  const std::string bias = name.substr(0, name.size() - std::string_view("weight").size()) + "bias";
  if (!has(bias)) return {};
  HEADRACE_TRY(linear.bias, vector(bias, linear.weight.n));
  return {};
}

Result<std::vector<float>> WeightLoader::values(const std::string& name, uint64_t n) {
  HEADRACE_TRY(const GgufTensor* tensor, take(name, n, 1));
  if (info_of(tensor->type).quantised) {
    return make_error(Errc::bad_model, "{}: tensor {}: expected a float type, found {}", file_.name(), name,
                      name_of(tensor->type));
  }
  std::vector<float> values(n);
  dequantise_row(tensor->type, tensor->data.data(), n, values.data());
  if (!checks_only_) report(*tensor);
  return values;
}

Result<ConstVec> WeightLoader::vector(const std::string& name, uint64_t n) {
  HEADRACE_TRY(const std::vector<float> host, values(name, n));
  return constant(host);
}

ConstVec WeightLoader::constant(const std::vector<float>& values) {
  if (checks_only_) return {nullptr, values.size()};
  std::byte* at = place(values.size() * sizeof(float));
  backend_.upload(at, values.data(), values.size() * sizeof(float));
  return {reinterpret_cast<const float*>(at), values.size()};
}

Status WeightLoader::finish() const {
  for (const GgufTensor& tensor : file_.tensors()) {
    if (taken_.contains(tensor.name)) continue;
    return make_error(Errc::unsupported, "{}: tensor {} {} has no place in this architecture", file_.name(),
                      printable(tensor.name), shape_text(tensor));
  }
  return {};
}

}  // namespace headrace
