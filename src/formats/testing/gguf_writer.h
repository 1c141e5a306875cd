// Writes GGUF files for tests: correct ones by default, and each way of being wrong that a test asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/result.h"
#include "formats/gguf_value.h"
#include "tensor/dtype.h"

namespace headrace::testing {

/// The bytes of a vector of plain values.
template <typename T>
std::string bytes_of_values(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

template <typename T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::is_same_v<T, bool>)
    return GgufType::boolean;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return GgufType::u8;
  else if constexpr (std::is_same_v<T, int8_t>)
    return GgufType::i8;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return GgufType::u16;
  else if constexpr (std::is_same_v<T, int16_t>)
    return GgufType::i16;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return GgufType::u32;
  else if constexpr (std::is_same_v<T, int32_t>)
    return GgufType::i32;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return GgufType::u64;
  else if constexpr (std::is_same_v<T, int64_t>)
    return GgufType::i64;
  else if constexpr (std::is_same_v<T, float>)
    return GgufType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return GgufType::f64;
  else
    return GgufType::string;
}

/// Everything is written in the order of the calls. The calls may be chained.
class GgufWriter {
 public:
  /// alignment: a power of two; one that is not GGUF's default of 32 is written as general.alignment.
  explicit GgufWriter(uint32_t version = 3, uint32_t alignment = 32);

  /// A metadata key of the value's own type: add("n", uint32_t{7}), add("s", "text"), add("b", true).
  template <typename T>
  requires std::is_arithmetic_v<T> GgufWriter& add(std::string_view key, T value) {
    return add_raw(key, static_cast<uint32_t>(gguf_type_of<T>()),
                   std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
  }
  GgufWriter& add(std::string_view key, std::string_view value);
  GgufWriter& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
  /// An array: add("a", std::vector<float>{1, 2}), add("t", std::vector<std::string>{"a", "b"}).
  template <typename T>
  GgufWriter& add(std::string_view key, const std::vector<T>& values) {
    std::string elements;
    for (const T& value : values) append_element(elements, value);
    return add_array_raw(key, static_cast<uint32_t>(gguf_type_of<T>()), values.size(), elements);
  }
  /// A value of any type number and any bytes, right or wrong.
  GgufWriter& add_raw(std::string_view key, uint32_t type, std::string_view bytes);
  GgufWriter& add_array_raw(std::string_view key, uint32_t element_type, uint64_t count,
                            std::string_view bytes);

  /// A tensor; dims[0] is the length of a row. Its bytes are written as they are, however many.
  GgufWriter& tensor(std::string_view name, DType type, std::vector<uint64_t> dims, std::string_view bytes);
  GgufWriter& tensor(std::string_view name, std::vector<uint64_t> dims, const std::vector<float>& values) {
    return tensor(name, DType::F32, std::move(dims), bytes_of_values(values));
  }
  /// A tensor entry of any type number; at `offset`, or behind the tensor before it.
  GgufWriter& tensor_raw(std::string_view name, uint32_t type, std::vector<uint64_t> dims,
                         std::string_view bytes, std::optional<uint64_t> offset = std::nullopt);

  /// Claims in the header instead of the true counts.
  GgufWriter& claim_tensors(uint64_t count);
  GgufWriter& claim_keys(uint64_t count);

  /// The file. It ends with the last tensor's last byte, without padding.
  std::string bytes() const;
  /// Writes it, replacing what is there.
  Status write(const std::filesystem::path& path) const;

 private:
  struct Tensor {
    std::string name;
    uint32_t type;
    std::vector<uint64_t> dims;
    std::string bytes;
    std::optional<uint64_t> offset;
  };
  template <typename T>
  static void append_element(std::string& out, const T& value) {
    if constexpr (std::is_arithmetic_v<T>)
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    else
      append_string(out, value);
  }
  static void append_string(std::string& out, std::string_view text);

  uint32_t version_;
  uint32_t alignment_;
  uint64_t n_keys_ = 0;
  std::string metadata_;
  std::vector<Tensor> tensors_;
  std::optional<uint64_t> claimed_tensors_;
  std::optional<uint64_t> claimed_keys_;
};

/// A view of the bytes of `text`, as GgufFile::parse takes them.
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace headrace::testing
