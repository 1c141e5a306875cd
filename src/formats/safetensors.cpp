#include "formats/safetensors.h"

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "formats/json_text.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;

// The header's length, little-endian, before the header itself.
Result<uint64_t> header_length(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return make_error(Errc::bad_model, "truncated: {} bytes, a header's length alone takes {}", file.size(),
                      kLengthBytes);
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{static_cast<uint8_t>(file[i])} << (8 * i);
  if (length > kMaxSafetensorsHeader) {
    return make_error(Errc::bad_model, "header of {} bytes, the limit is {}", length, kMaxSafetensorsHeader);
  }
  if (length > file.size() - kLengthBytes) {
    return make_error(Errc::bad_model, "truncated: the header of {} bytes does not end inside the file's {}",
                      length, file.size());
  }
  return length;
}

Result<uint64_t> unsigned_number(const Json& value, std::string_view what) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  return make_error(Errc::bad_model, "{}: expected a number of 0 or more, found {}", what, describe(value));
}

Result<const Json*> field(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end()) return make_error(Errc::bad_model, "{} is missing", key);
  return &*found;
}

Result<DType> read_type(const Json& entry) {
  HEADRACE_TRY(const Json* value, field(entry, "dtype"));
  if (!value->is_string())
    return make_error(Errc::bad_model, "dtype: expected a string, found {}", describe(*value));
  const auto& name = value->get_ref<const std::string&>();
  for (const DType type : {DType::F32, DType::F16, DType::BF16}) {
    if (name == name_of(type)) return type;
  }
  return make_error(Errc::unsupported, "dtype '{}' is not supported (F32, F16 and BF16 are)",
                    printable(name));
}

Status read_shape(const Json& entry, FileTensor& tensor) {
  HEADRACE_TRY(const Json* shape, field(entry, "shape"));
  if (!shape->is_array())
    return make_error(Errc::bad_model, "shape: expected an array, found {}", describe(*shape));
  if (shape->size() > kMaxTensorDims) {
    return make_error(Errc::bad_model, "shape: {} dimensions, the limit is {}", shape->size(),
                      kMaxTensorDims);
  }
  tensor.dims.fill(1);
  tensor.n_dims = std::max<uint32_t>(1, static_cast<uint32_t>(shape->size()));
  for (size_t d = 0; d < shape->size(); ++d) {
    HEADRACE_TRY(tensor.dims[shape->size() - 1 - d], unsigned_number((*shape)[d], "shape"));
  }
  return {};
}

// [begin, end) in the data behind the header.
Status place(const Json& entry, std::span<const std::byte> file, uint64_t data_begin, FileTensor& tensor) {
  HEADRACE_TRY(const Json* offsets, field(entry, "data_offsets"));
  if (!offsets->is_array() || offsets->size() != 2) {
    return make_error(Errc::bad_model, "data_offsets: expected [begin, end], found {}", describe(*offsets));
  }
  HEADRACE_TRY(const uint64_t begin, unsigned_number((*offsets)[0], "data_offsets"));
  HEADRACE_TRY(const uint64_t end, unsigned_number((*offsets)[1], "data_offsets"));
  std::optional<uint64_t> elements = 1;
  for (const uint64_t dim : tensor.dims) elements = elements ? checked_mul(*elements, dim) : elements;
  const std::optional<uint64_t> bytes = elements ? bytes_of(tensor.type, *elements) : std::nullopt;
  if (!bytes || begin > end || end - begin != *bytes) {
    return make_error(Errc::bad_model, "data_offsets [{}, {}] don't hold shape {} of {}", begin, end,
                      entry.at("shape").dump(), name_of(tensor.type));
  }
  if (end > file.size() - data_begin) {
    return make_error(Errc::bad_model, "truncated: data_offsets [{}, {}], the file has {} bytes of data",
                      begin, end, file.size() - data_begin);
  }
  tensor.offset = data_begin + begin;
  tensor.data = file.subspan(tensor.offset, *bytes);
  return {};
}

Result<FileTensor> read_tensor(const Json& entry, std::span<const std::byte> file, uint64_t data_begin) {
  if (!entry.is_object()) return make_error(Errc::bad_model, "expected an object, found {}", describe(entry));
  FileTensor tensor{};
  HEADRACE_TRY(tensor.type, read_type(entry));
  HEADRACE_RETURN_IF_ERROR(read_shape(entry, tensor));
  HEADRACE_RETURN_IF_ERROR(place(entry, file, data_begin, tensor));
  return tensor;
}

Result<std::map<std::string, std::string>> read_metadata(const Json& entry) {
  std::map<std::string, std::string> metadata;
  if (!entry.is_object()) return make_error(Errc::bad_model, "expected an object, found {}", describe(entry));
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) {
      return make_error(Errc::bad_model, "{}: expected a string, found {}", printable(key), describe(value));
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// Bytes that no tensor owns could carry anything past a check, and a byte with two owners is a mistake.
Status check_cover(const std::vector<FileTensor>& tensors, uint64_t data_begin, uint64_t file_bytes) {
  std::vector<const FileTensor*> order;
  for (const FileTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const FileTensor* t) { return std::pair(t->offset, t->data.size()); });
  uint64_t at = data_begin;
  for (const FileTensor* tensor : order) {
    if (tensor->offset != at) {
      return make_error(Errc::bad_model,
                        "tensor {}: its data begins at byte {}, that of the one before it ends at {}",
                        printable(tensor->name), tensor->offset - data_begin, at - data_begin);
    }
    at += tensor->data.size();
  }
  if (at != file_bytes) {
    return make_error(Errc::bad_model, "{} bytes behind the last tensor", file_bytes - at);
  }
  return {};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  HEADRACE_TRY(MappedFile map, MappedFile::open(path));
  HEADRACE_TRY(SafetensorsFile file,
               parse(printable(path.string(), std::numeric_limits<size_t>::max()), map.bytes()));
  file.map_ = std::move(map);
  return file;
}

Result<SafetensorsFile> SafetensorsFile::parse(std::string name, std::span<const std::byte> bytes) {
  Result<uint64_t> length = header_length(bytes);
  if (!length) return std::move(length).error().in(name);
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, *length);
  HEADRACE_TRY(const Json json, parse_json_object(name + ": header", header));

  SafetensorsFile file;
  file.name_ = std::move(name);
  file.file_bytes_ = bytes.size();
  const uint64_t data_begin = kLengthBytes + *length;
  for (const auto& [key, entry] : json.items()) {
    if (key == "__metadata__") {
      Result<std::map<std::string, std::string>> metadata = read_metadata(entry);
      if (!metadata) return std::move(metadata).error().in(file.name_ + ": __metadata__");
      file.metadata_ = *std::move(metadata);
      continue;
    }
    Result<FileTensor> tensor = read_tensor(entry, bytes, data_begin);
    if (!tensor)
      return std::move(tensor).error().in(fmt::format("{}: tensor {}", file.name_, printable(key)));
    const auto at = file.by_name_.emplace(key, *tensor).first;
    at->second.name = at->first;
    file.tensors_.push_back(at->second);
  }
  if (Status covered = check_cover(file.tensors_, data_begin, bytes.size()); !covered) {
    return std::move(covered).error().in(file.name_);
  }
  return file;
}

const FileTensor* SafetensorsFile::find_tensor(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

void SafetensorsFile::drop(const FileTensor& tensor) const {
  if (map_) map_->drop(tensor.offset, tensor.data.size());
}

}  // namespace headrace
