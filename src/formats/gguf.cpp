#include "formats/gguf.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "formats/gguf_reader.h"

namespace headrace {
namespace {

// Binary search in `order`, which lists the indices of `items` sorted by what `name_of_item` answers.
template <typename Item, typename NameOf>
const Item* find_sorted(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                        std::string_view name, NameOf name_of_item) {
  const auto found =
      std::ranges::lower_bound(order, name, {}, [&](uint32_t index) { return name_of_item(items[index]); });
  if (found == order.end() || name_of_item(items[*found]) != name) return nullptr;
  return &items[*found];
}

bool is_integer(GgufType type) {
  return type != GgufType::f32 && type != GgufType::f64 && type != GgufType::boolean &&
         type != GgufType::string && type != GgufType::array;
}

// "u32 7", "array of string": what stands in the file, short enough for a message.
std::string found_text(const GgufValue& value) {
  return value.is_array ? value.type_text() : fmt::format("{} {}", value.type_text(), value.text());
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  HEADRACE_TRY(MappedFile map, MappedFile::open(path));
  HEADRACE_TRY(GgufFile file,
               parse(printable(path.string(), std::numeric_limits<size_t>::max()), map.bytes()));
  file.map_ = std::move(map);
  return file;
}

Result<GgufFile> GgufFile::parse(std::string name, std::span<const std::byte> bytes) {
  auto contents = read_gguf(bytes);
  if (!contents) return std::move(contents).error().in(name);
  GgufFile file;
  file.name_ = std::move(name);
  file.file_bytes_ = bytes.size();
  file.version_ = contents->version;
  file.entries_ = std::move(contents->entries);
  file.tensors_ = std::move(contents->tensors);
  file.by_key_ = std::move(contents->by_key);
  file.by_name_ = std::move(contents->by_name);
  return file;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const GgufEntry* entry =
      find_sorted(entries_, by_key_, key, [](const GgufEntry& item) { return item.key; });
  return entry == nullptr ? nullptr : &entry->value;
}

const FileTensor* GgufFile::find_tensor(std::string_view name) const {
  return find_sorted(tensors_, by_name_, name, [](const FileTensor& item) { return item.name; });
}

Result<GgufValue> GgufFile::required(std::string_view key) const {
  if (const GgufValue* value = find(key)) return *value;
  return make_error(Errc::bad_model, "{}: metadata key '{}' is missing", name_, printable(key));
}

Error GgufFile::wrong_kind(std::string_view key, const GgufValue& value, std::string_view expected) const {
  return make_error(Errc::bad_model, "{}: metadata key '{}': expected {}, found {}", name_, printable(key),
                    expected, found_text(value));
}

Result<std::string_view> GgufFile::string(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  const auto texts = value.is_array ? std::nullopt : value.strings();
  if (!texts) return wrong_kind(key, value, "a string");
  return texts->front();
}

Result<uint64_t> GgufFile::uint(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  const auto number = value.is_array ? std::nullopt : value.uint_at(0);
  if (!number) return wrong_kind(key, value, "a non-negative integer");
  return *number;
}

Result<double> GgufFile::number(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  const auto number = value.is_array ? std::nullopt : value.number_at(0);
  if (!number || !std::isfinite(*number)) return wrong_kind(key, value, "a finite number");
  return *number;
}

Result<bool> GgufFile::boolean(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  const auto boolean = value.is_array ? std::nullopt : value.boolean_at(0);
  if (!boolean) return wrong_kind(key, value, "a bool");
  return *boolean;
}

Result<std::vector<std::string_view>> GgufFile::strings(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  auto texts = value.is_array ? value.strings() : std::nullopt;
  if (!texts) return wrong_kind(key, value, "an array of strings");
  return *std::move(texts);
}

Result<std::vector<int64_t>> GgufFile::ints(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  if (!value.is_array || !is_integer(value.type)) return wrong_kind(key, value, "an array of integers");
  std::vector<int64_t> out;
  out.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    const auto number = value.int_at(i);
    if (!number) return wrong_kind(key, value, "an array of signed 64-bit integers");
    out.push_back(*number);
  }
  return out;
}

Result<std::vector<float>> GgufFile::floats(std::string_view key) const {
  HEADRACE_TRY(const GgufValue value, required(key));
  if (!value.is_array || (value.type != GgufType::f32 && value.type != GgufType::f64)) {
    return wrong_kind(key, value, "an array of floats");
  }
  std::vector<float> out;
  out.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) out.push_back(static_cast<float>(*value.number_at(i)));
  return out;
}

Result<std::string_view> GgufFile::string_or(std::string_view key, std::string_view otherwise) const {
  if (!has(key)) return otherwise;
  return string(key);
}

Result<uint64_t> GgufFile::uint_or(std::string_view key, uint64_t otherwise) const {
  if (!has(key)) return otherwise;
  return uint(key);
}

Result<double> GgufFile::number_or(std::string_view key, double otherwise) const {
  if (!has(key)) return otherwise;
  return number(key);
}

Result<bool> GgufFile::boolean_or(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  return boolean(key);
}

void GgufFile::drop(const FileTensor& tensor) const {
  if (map_) map_->drop(tensor.offset, tensor.data.size());
}

}  // namespace headrace
