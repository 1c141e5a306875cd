// A metadata value of a GGUF file: a typed view of its bytes in the file, decoded when somebody asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headrace {

/// The numbers are those of the file format.
enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};
inline constexpr uint32_t kGgufTypes = 13;
std::string_view name_of(GgufType type);

/// Bytes of one stored value; of a string, those of its length field. Not for arrays.
uint32_t stored_bytes_of(GgufType type);

/// A scalar (`count` 1) or an array. Only the reader makes one: `payload` holds `count` whole values of
/// `type`, so decoding needs no checks. It lives as long as the file's bytes do.
struct GgufValue {
  GgufType type;  // of the scalar or of the array's elements; never GgufType::array
  bool is_array;
  uint64_t count;
  std::span<const std::byte> payload;

  // Element i < count. Nothing if the type is another kind or the value does not fit.
  std::optional<uint64_t> uint_at(uint64_t i) const;  // any integer type, not negative
  std::optional<int64_t> int_at(uint64_t i) const;    // any integer type
  std::optional<double> number_at(uint64_t i) const;  // any integer or float type
  std::optional<bool> boolean_at(uint64_t i) const;
  /// All strings, in order; nothing if the type is another. Bytes as stored: they may be no UTF-8.
  std::optional<std::vector<std::string_view>> strings() const;

  /// "u32", "array of string".
  std::string type_text() const;
  /// The value on one line, safe to print; long strings and arrays are cut: "[1, 2, 3, ... 49152 in all]".
  std::string text() const;
};

}  // namespace headrace
