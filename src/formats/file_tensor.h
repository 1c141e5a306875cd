// A tensor as a model file states it: where its bytes lie, before anything is done with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace headrace {

inline constexpr uint32_t kMaxTensorDims = 4;

struct FileTensor {
  std::string_view name;
  DType type;
  uint32_t n_dims;                            // 1 to 4
  std::array<uint64_t, kMaxTensorDims> dims;  // dims[0] runs fastest: the length K of a row; 1 beyond n_dims
  std::span<const std::byte> data;            // bytes_of(type, all elements) bytes, aligned to nothing
  uint64_t offset;                            // of data, in bytes from the beginning of the file

  uint64_t row_elements() const { return dims[0]; }
  uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
};

/// "[576, 49152]": dims[0] first, as GGUF files write it.
std::string shape_text(const FileTensor& tensor);

}  // namespace headrace
