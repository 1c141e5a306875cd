#include "formats/gguf_value.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/file.h"
#include "core/result.h"

namespace headrace {
namespace {

constexpr uint64_t kElementsInText = 6;
constexpr size_t kStringBytesInText = 72;

struct TypeInfo {
  std::string_view name;
  uint32_t stored_bytes;
};
constexpr TypeInfo kTypeInfos[kGgufTypes] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 8}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};

template <typename T>
T load(const GgufValue& value, uint64_t i) {
  T out;
  std::memcpy(&out, value.payload.data() + i * sizeof(T), sizeof(T));
  return out;
}

// Calls f with element i as its C++ type if it is an integer or a float, else answers nothing.
template <typename Answer, typename F>
std::optional<Answer> with_number(const GgufValue& value, uint64_t i, F f) {
  switch (value.type) {
    case GgufType::u8:
      return f(load<uint8_t>(value, i));
    case GgufType::i8:
      return f(load<int8_t>(value, i));
    case GgufType::u16:
      return f(load<uint16_t>(value, i));
    case GgufType::i16:
      return f(load<int16_t>(value, i));
    case GgufType::u32:
      return f(load<uint32_t>(value, i));
    case GgufType::i32:
      return f(load<int32_t>(value, i));
    case GgufType::u64:
      return f(load<uint64_t>(value, i));
    case GgufType::i64:
      return f(load<int64_t>(value, i));
    case GgufType::f32:
      return f(load<float>(value, i));
    case GgufType::f64:
      return f(load<double>(value, i));
    case GgufType::boolean:
    case GgufType::string:
    case GgufType::array:
      return std::nullopt;
  }
  return std::nullopt;
}

template <typename Integer>
std::optional<Integer> integer_at(const GgufValue& value, uint64_t i) {
  return with_number<Integer>(value, i, [](auto number) -> std::optional<Integer> {
    if constexpr (std::is_integral_v<decltype(number)>) {
      if (std::in_range<Integer>(number)) return static_cast<Integer>(number);
    }
    return std::nullopt;
  });
}

// The string whose length field lies `at` bytes into the payload; moves `at` behind it.
std::string_view next_string(std::span<const std::byte> payload, size_t& at) {
  uint64_t size = 0;
  std::memcpy(&size, payload.data() + at, sizeof size);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()) + at + sizeof size, size);
  at += sizeof size + size;
  return text;
}

std::string number_text(const GgufValue& value, uint64_t i) {
  if (const auto boolean = value.boolean_at(i)) return *boolean ? "true" : "false";
  const auto text = with_number<std::string>(value, i, [](auto number) { return fmt::format("{}", number); });
  return text.value_or("");
}

}  // namespace

std::string_view name_of(GgufType type) {
  return kTypeInfos[static_cast<uint32_t>(type)].name;
}

uint32_t stored_bytes_of(GgufType type) {
  return kTypeInfos[static_cast<uint32_t>(type)].stored_bytes;
}

std::optional<uint64_t> GgufValue::uint_at(uint64_t i) const {
  return integer_at<uint64_t>(*this, i);
}

std::optional<int64_t> GgufValue::int_at(uint64_t i) const {
  return integer_at<int64_t>(*this, i);
}

std::optional<double> GgufValue::number_at(uint64_t i) const {
  return with_number<double>(*this, i, [](auto number) { return static_cast<double>(number); });
}

std::optional<bool> GgufValue::boolean_at(uint64_t i) const {
  if (type != GgufType::boolean) return std::nullopt;
  return payload[i] != std::byte{0};
}

std::optional<std::vector<std::string_view>> GgufValue::strings() const {
  if (type != GgufType::string) return std::nullopt;
  std::vector<std::string_view> out;
  out.reserve(count);
  size_t at = 0;
  for (uint64_t i = 0; i < count; ++i) out.push_back(next_string(payload, at));
  return out;
}

std::string GgufValue::type_text() const {
  return fmt::format("{}{}", is_array ? "array of " : "", name_of(type));
}

std::string GgufValue::text() const {
  std::string out;
  size_t at = 0;
  for (uint64_t i = 0; i < std::min(count, kElementsInText); ++i) {
    if (i > 0) out += ", ";
    out += type == GgufType::string ? '"' + printable(next_string(payload, at), kStringBytesInText) + '"'
                                    : number_text(*this, i);
  }
  if (!is_array) return out;
  return count <= kElementsInText ? '[' + out + ']' : fmt::format("[{}, ... {} in all]", out, count);
}

}  // namespace headrace
