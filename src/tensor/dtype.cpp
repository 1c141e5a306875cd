#include "tensor/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/checked.h"

namespace headrace {
namespace {

constexpr std::array<DTypeInfo, kDTypes> kInfos = {{
    {"F32", 0, 1, 4, false, false},
    {"F16", 1, 1, 2, false, false},
    {"BF16", 30, 1, 2, false, false},
    {"Q8_0", 8, 32, 34, true, false},
    {"Q4_0", 2, 32, 18, true, false},
    {"Q4_1", 3, 32, 20, true, true},
    {"Q5_0", 6, 32, 22, true, false},
    {"Q4_K", 12, 256, 144, true, true},
    {"Q5_K", 13, 256, 176, true, true},
    {"Q6_K", 14, 256, 210, true, false},
}};

}  // namespace

const DTypeInfo& info_of(DType type) {
  return kInfos[static_cast<size_t>(type)];
}

std::optional<uint64_t> bytes_of(DType type, uint64_t elements) {
  const DTypeInfo& info = info_of(type);
  if (elements % info.block_elements != 0) return std::nullopt;
  return checked_mul(elements / info.block_elements, info.block_bytes);
}

std::optional<DType> dtype_from_gguf(uint32_t gguf_type) {
  for (size_t i = 0; i < kDTypes; ++i) {
    if (kInfos[i].gguf_type == gguf_type) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
  };
  for (size_t i = 0; i < kDTypes; ++i) {
    if (std::ranges::equal(kInfos[i].name, name, same)) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace headrace
