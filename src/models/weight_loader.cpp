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

std::span<const uint64_t> dims_of(const FileTensor& tensor) {
  return std::span(tensor.dims).first(tensor.n_dims);
}

std::string bias_of(const std::string& weight) {
  return weight.substr(0, weight.size() - std::string_view("weight").size()) + "bias";
}

}  // namespace

Result<WeightLoader> WeightLoader::create(const Checkpoint& checkpoint, Backend& backend,
                                          MemoryLedger& ledger, const LoadOptions& options) {
  WeightLoader loader(checkpoint, backend, options);
  uint64_t bytes = kConstantBytes;
  for (const FileTensor& tensor : checkpoint.tensors()) {
    if (checkpoint.is_ignored(tensor)) continue;
    // A matrix in the backend's layout, or a vector as floats, whichever is more: this bounds both.
    const uint64_t rows = tensor.rows();
    const uint64_t k = tensor.row_elements();
    if (rows > UINT32_MAX || k > kMaxVectorElements) {
      return make_error(Errc::bad_model, "{}: tensor {}: shape {} is beyond any supported model",
                        checkpoint.name(), printable(tensor.name), checkpoint.shape_label(dims_of(tensor)));
    }
    const uint64_t as_vector = rows == 1 ? k * sizeof(float) : 0;
    const uint64_t as_matrix =
        backend.packed_bytes(tensor.type, static_cast<uint32_t>(rows), static_cast<uint32_t>(k));
    const uint64_t packed = std::max(as_vector, as_matrix);
    const auto sum = checked_add(bytes, round_up(packed, kAlignment));
    if (!sum) return make_error(Errc::bad_model, "{}: tensor sizes overflow", checkpoint.name());
    bytes = *sum;
    loader.total_ += tensor.data.size();
  }
  HEADRACE_TRY(loader.buffer_, backend.allocate(ledger, MemoryUse::weights, bytes,
                                                fmt::format("{}: weights", checkpoint.name())));
  return loader;
}

WeightLoader WeightLoader::checker(const Checkpoint& checkpoint, Backend& backend,
                                   const LoadOptions& options) {
  WeightLoader loader(checkpoint, backend, options);
  loader.checks_only_ = true;
  return loader;
}

Error WeightLoader::wrong_shape(const std::string& name, uint64_t k, uint64_t n,
                                const FileTensor& found) const {
  const uint64_t wanted[] = {k, n};
  return make_error(Errc::bad_model, "{}: tensor {}: expected shape {}, found {}", checkpoint_.name(),
                    checkpoint_.tensor_label(name),
                    checkpoint_.shape_label(std::span(wanted).first(n == 1 ? 1 : 2)),
                    checkpoint_.shape_label(dims_of(found)));
}

Result<const FileTensor*> WeightLoader::take(const std::string& name, uint64_t k, uint64_t n) {
  if (options_.cancel != nullptr && options_.cancel->load()) {
    return make_error(Errc::cancelled, "{}: loading was interrupted", checkpoint_.name());
  }
  const FileTensor* tensor = checkpoint_.find_tensor(name);
  if (tensor == nullptr) {
    return make_error(Errc::bad_model, "{}: tensor {} is missing", checkpoint_.name(),
                      checkpoint_.tensor_label(name));
  }
  if (tensor->row_elements() != k || tensor->rows() != n || tensor->dims[1] != n) {
    return wrong_shape(name, k, n, *tensor);
  }
  taken_.insert(std::string(tensor->name));
  return tensor;
}

std::byte* WeightLoader::place(size_t bytes) {
  HEADRACE_CHECK(used_ + bytes <= buffer_.size());
  std::byte* at = buffer_.data() + used_;
  used_ += round_up(bytes, kAlignment);
  return at;
}

void WeightLoader::report(const FileTensor& tensor) {
  checkpoint_.drop(tensor);
  done_ += tensor.data.size();
  if (options_.progress) options_.progress(done_, total_);
}

Result<Linear> WeightLoader::linear(const std::string& name, uint64_t n, uint64_t k, Split split) {
  HEADRACE_TRY(const FileTensor* tensor, take(name, k, n));
  const auto n32 = static_cast<uint32_t>(n);
  const auto k32 = static_cast<uint32_t>(k);
  if (checks_only_) return Linear{.weight = {tensor->type, n32, k32, nullptr}, .bias = {}, .split = split};
  std::byte* packed = place(backend_.packed_bytes(tensor->type, n32, k32));
  if (!options_.sizes_only) backend_.pack(tensor->type, n32, k32, tensor->data.data(), packed);
  report(*tensor);
  return Linear{.weight = {tensor->type, n32, k32, packed}, .bias = {}, .split = split};
}

Status WeightLoader::add_bias(Linear& linear, const std::string& name) {
  HEADRACE_TRY(linear.bias, vector(bias_of(name), linear.weight.n));
  return {};
}

Status WeightLoader::add_bias_if_any(Linear& linear, const std::string& name) {
  return has(bias_of(name)) ? add_bias(linear, name) : Status();
}

Result<std::vector<float>> WeightLoader::values(const std::string& name, uint64_t n) {
  HEADRACE_TRY(const FileTensor* tensor, take(name, n, 1));
  if (info_of(tensor->type).quantised) {
    return make_error(Errc::bad_model, "{}: tensor {}: expected a float type, found {}", checkpoint_.name(),
                      checkpoint_.tensor_label(name), name_of(tensor->type));
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

Result<ConstVec> WeightLoader::norm(const std::string& name, uint64_t n) {
  HEADRACE_TRY(std::vector<float> host, values(name, n));
  const float offset = checkpoint_.norm_offset();
  for (float& value : host) value += offset;
  return constant(host);
}

ConstVec WeightLoader::constant(const std::vector<float>& values) {
  if (checks_only_) return {nullptr, values.size()};
  std::byte* at = place(values.size() * sizeof(float));
  backend_.upload(at, values.data(), values.size() * sizeof(float));
  return {reinterpret_cast<const float*>(at), values.size()};
}

Status WeightLoader::finish() const {
  for (const FileTensor& tensor : checkpoint_.tensors()) {
    if (taken_.contains(tensor.name) || checkpoint_.is_ignored(tensor)) continue;
    return make_error(Errc::unsupported, "{}: tensor {} {} has no place in this architecture",
                      checkpoint_.name(), printable(tensor.name), checkpoint_.shape_label(dims_of(tensor)));
  }
  return {};
}

}  // namespace headrace
