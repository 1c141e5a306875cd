#include "gguf_parts.h"

#include <cstring>

#include "core/result.h"
#include "formats/gguf.h"
#include "formats/testing/gguf_writer.h"

namespace headrace::golden {
namespace {

constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;

class Cutter {
 public:
  explicit Cutter(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view string() { return take(number<uint64_t>()); }
  std::string value(uint32_t type) {
    const size_t begin = at_;
    skip(type);
    return std::string(bytes_.substr(begin, at_ - begin));
  }

 private:
  std::string_view take(size_t count) {
    HEADRACE_CHECK(count <= bytes_.size() - at_);
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  void skip(uint32_t type) {
    constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      string();
    } else if (type == kArray) {
      const auto element = number<uint32_t>();
      const auto count = number<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) skip(element);
    } else {
      take(kBytes[type]);
    }
  }

  std::string_view bytes_;
  size_t at_ = 0;
};

}  // namespace

GgufParts::GgufParts(std::string_view file) {
  Cutter cutter(file);
  cutter.number<uint64_t>();  // magic and version
  cutter.number<uint64_t>();  // tensors: read below, with their data
  const auto n_keys = cutter.number<uint64_t>();
  for (uint64_t i = 0; i < n_keys; ++i) {
    std::string key(cutter.string());
    const auto type = cutter.number<uint32_t>();
    keys.push_back({std::move(key), type, cutter.value(type)});
  }
  const GgufFile good = GgufFile::parse("good", testing::as_bytes(file)).value();
  for (const FileTensor& tensor : good.tensors()) {
    tensors.push_back({std::string(tensor.name),
                       info_of(tensor.type).gguf_type,
                       {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims},
                       std::string(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size())});
  }
}

std::string GgufParts::bytes() const {
  testing::GgufWriter writer(3, alignment);
  for (const GgufKeyPart& part : keys) writer.add_raw(part.key, part.type, part.value);
  for (const GgufTensorPart& part : tensors) writer.tensor_raw(part.name, part.type, part.dims, part.data);
  return writer.bytes();
}

}  // namespace headrace::golden
