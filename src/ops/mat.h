// Views of device memory. Plain data: the host passes them on and never reads through them; ops do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace headrace {

/// Row-major floats; row r begins at data + r * stride.
struct ConstMat {
  const float* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;

  const float* row(size_t r) const { return data + r * stride; }
};

struct Mat {
  float* data = nullptr;
  size_t rows = 0;
  size_t cols = 0;
  size_t stride = 0;

  float* row(size_t r) const { return data + r * stride; }
  operator ConstMat() const { return {data, rows, cols, stride}; }  // NOLINT(google-explicit-constructor)
  /// The first `count` rows.
  Mat top(size_t count) const { return {data, count, cols, stride}; }
  /// The same memory as rows of `width` floats (stride == cols, cols a multiple of width): a head a row.
  Mat split(size_t width) const { return {data, rows * cols / width, width, width}; }
};

struct ConstVec {
  const float* data = nullptr;
  size_t size = 0;
};

/// A matrix of weights [n outputs][k inputs] in the backend's own layout (see Backend::pack).
struct Weight {
  DType type = DType::F32;
  uint32_t n = 0;
  uint32_t k = 0;
  const std::byte* data = nullptr;
};

/// How a linear is cut over devices: columns = its outputs, rows = its inputs. A cut by rows ends in a sum
/// over devices that continues the reduction tree (docs/numerics.md); on one device nothing is cut.
enum class Split : uint8_t { none, rows, columns };

struct Linear {
  Weight weight;
  ConstVec bias;  // empty: none
  Split split = Split::none;
};

}  // namespace headrace
