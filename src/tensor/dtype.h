// Element types: plain floats and the block-quantised formats of GGUF files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace headrace {

enum class DType : uint8_t { F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q4_K, Q5_K, Q6_K };
inline constexpr size_t kDTypes = 10;

struct DTypeInfo {
  std::string_view name;    // as GGUF tools spell it: "Q4_K"
  uint32_t gguf_type;       // number in a GGUF tensor entry
  uint32_t block_elements;  // elements along K that share scales; 1 for floats
  uint32_t block_bytes;
  bool quantised;
  bool minimum;  // a weight has a minimum besides its scale
};

const DTypeInfo& info_of(DType type);
inline std::string_view name_of(DType type) {
  return info_of(type).name;
}

/// Bytes of `elements` consecutive elements; nothing if that is no whole number of blocks or overflows.
std::optional<uint64_t> bytes_of(DType type, uint64_t elements);

std::optional<DType> dtype_from_gguf(uint32_t gguf_type);
/// "f32", "F16", "q8_0": any letter case.
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace headrace
