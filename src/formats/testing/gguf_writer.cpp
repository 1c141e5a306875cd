#include "formats/testing/gguf_writer.h"

#include <fstream>

#include "core/checked.h"

namespace headrace::testing {
namespace {

constexpr uint32_t kDefaultAlignment = 32;

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

GgufWriter::GgufWriter(uint32_t version, uint32_t alignment) : version_(version), alignment_(alignment) {
  if (alignment != kDefaultAlignment) add("general.alignment", alignment);
}

void GgufWriter::append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out += text;
}

GgufWriter& GgufWriter::add(std::string_view key, std::string_view value) {
  std::string bytes;
  append_string(bytes, value);
  return add_raw(key, static_cast<uint32_t>(GgufType::string), bytes);
}

GgufWriter& GgufWriter::add_raw(std::string_view key, uint32_t type, std::string_view bytes) {
  append_string(metadata_, key);
  append(metadata_, type);
  metadata_ += bytes;
  ++n_keys_;
  return *this;
}

GgufWriter& GgufWriter::add_array_raw(std::string_view key, uint32_t element_type, uint64_t count,
                                      std::string_view bytes) {
  std::string array;
  append(array, element_type);
  append(array, count);
  array += bytes;
  return add_raw(key, static_cast<uint32_t>(GgufType::array), array);
}

GgufWriter& GgufWriter::tensor(std::string_view name, DType type, std::vector<uint64_t> dims,
                               std::string_view bytes) {
  return tensor_raw(name, info_of(type).gguf_type, std::move(dims), bytes);
}

GgufWriter& GgufWriter::tensor_raw(std::string_view name, uint32_t type, std::vector<uint64_t> dims,
                                   std::string_view bytes, std::optional<uint64_t> offset) {
  tensors_.push_back({std::string(name), type, std::move(dims), std::string(bytes), offset});
  return *this;
}

GgufWriter& GgufWriter::claim_tensors(uint64_t count) {
  claimed_tensors_ = count;
  return *this;
}

GgufWriter& GgufWriter::claim_keys(uint64_t count) {
  claimed_keys_ = count;
  return *this;
}

std::string GgufWriter::bytes() const {
  std::string out = "GGUF";
  append(out, version_);
  append(out, claimed_tensors_.value_or(tensors_.size()));
  append(out, claimed_keys_.value_or(n_keys_));
  out += metadata_;
  std::string data;
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dim : tensor.dims) append(out, dim);
    append(out, tensor.type);
    data.resize(round_up(data.size(), alignment_));
    append(out, tensor.offset.value_or(data.size()));
    data += tensor.bytes;
  }
  if (!data.empty()) out.resize(round_up(out.size(), alignment_));
  return out + data;
}

Status GgufWriter::write(const std::filesystem::path& path) const {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  const std::string content = bytes();
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) return make_error(Errc::io, "{}: cannot be written", path.string());
  return {};
}

}  // namespace headrace::testing
