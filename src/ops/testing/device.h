// A backend and the device memory of one test. Arrays go up and come down as vectors, so that tests never
// read device memory through a pointer.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ops/ops.h"

namespace headrace::ops_testing {

inline constexpr ScratchNeeds kTestScratch = {.max_rows = 912, .max_k = 2048, .max_d_head = 256};

/// What was uploaded or made stays until the Device dies. Every array lies between guards, which are checked
/// at each download; fresh memory is NaN, so that an output which no op wrote shows.
class Device {
 public:
  explicit Device(std::unique_ptr<Backend> backend);

  Ops ops(ActivationNumerics numerics = ActivationNumerics::int8) { return Ops(*backend_, numerics); }
  Backend& backend() { return *backend_; }

  template <typename T>
  T* upload(std::span<const T> values) {
    T* data = make<T>(values.size());
    if (!values.empty()) backend_->upload(data, values.data(), values.size_bytes());
    return data;
  }
  template <typename T>
  T* upload(const std::vector<T>& values) {
    return upload(std::span<const T>(values));
  }
  template <typename T>
  T* make(size_t count) {
    return reinterpret_cast<T*>(make_bytes(count * sizeof(T)));
  }
  template <typename T>
  std::vector<T> download(const T* data, size_t count) {
    check_guards();
    std::vector<T> values(count);
    backend_->download(values.data(), data, count * sizeof(T));
    return values;
  }

  /// Dense in host memory; on the device rows are `gap` floats further apart than they are wide.
  Mat mat(std::span<const float> values, size_t cols, size_t gap = 0);
  Mat mat(size_t rows, size_t cols, size_t gap = 0);
  std::vector<float> read(ConstMat x);
  ConstVec vec(std::span<const float> values) { return {upload(values), values.size()}; }
  /// `rows`: n rows of k elements as files store them.
  Weight weight(DType type, uint32_t n, uint32_t k, std::span<const std::byte> rows);

 private:
  std::byte* make_bytes(size_t bytes);
  void check_guards();

  MemoryLedger ledger_;
  std::unique_ptr<Backend> backend_;
  std::vector<DeviceBuffer> buffers_;
};

}  // namespace headrace::ops_testing
