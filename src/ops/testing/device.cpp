#include "ops/testing/device.h"

#include <algorithm>
#include <cstring>

namespace headrace::ops_testing {
namespace {

constexpr size_t kGuardBytes = 64;  // keeps arrays aligned
constexpr std::byte kGuard{0xFF};   // as floats: NaN

}  // namespace

Device::Device(std::unique_ptr<Backend> backend) : ledger_(uint64_t{4} << 30), backend_(std::move(backend)) {
  const Status status = backend_->prepare(ledger_, kTestScratch);
  HEADRACE_CHECK(status);
}

std::byte* Device::make_bytes(size_t bytes) {
  const std::vector<std::byte> fill(bytes + 2 * kGuardBytes, kGuard);
  buffers_.push_back(backend_->allocate(ledger_, MemoryUse::scratch, fill.size(), "test").value());
  backend_->upload(buffers_.back().data(), fill.data(), fill.size());
  return buffers_.back().data() + kGuardBytes;
}

void Device::check_guards() {
  std::byte guards[2 * kGuardBytes];
  for (const DeviceBuffer& buffer : buffers_) {
    backend_->download(guards, buffer.data(), kGuardBytes);
    backend_->download(guards + kGuardBytes, buffer.data() + buffer.size() - kGuardBytes, kGuardBytes);
    const bool intact =
        std::all_of(std::begin(guards), std::end(guards), [](std::byte b) { return b == kGuard; });
    if (!intact) panic("an op wrote outside its output", __FILE__, __LINE__);
  }
}

Mat Device::mat(std::span<const float> values, size_t cols, size_t gap) {
  const Mat x = mat(values.size() / cols, cols, gap);
  for (size_t r = 0; r < x.rows; ++r)
    backend_->upload(x.row(r), values.data() + r * cols, cols * sizeof(float));
  return x;
}

Mat Device::mat(size_t rows, size_t cols, size_t gap) {
  return {make<float>(rows * (cols + gap)), rows, cols, cols + gap};
}

std::vector<float> Device::read(ConstMat x) {
  check_guards();
  std::vector<float> values(x.rows * x.cols);
  for (size_t r = 0; r < x.rows; ++r) {
    backend_->download(values.data() + r * x.cols, x.row(r), x.cols * sizeof(float));
  }
  return values;
}

Weight Device::weight(DType type, uint32_t n, uint32_t k, std::span<const std::byte> rows) {
  std::byte* packed = make_bytes(backend_->packed_bytes(type, n, k));
  backend_->pack(type, n, k, rows.data(), packed);
  return {type, n, k, packed};
}

}  // namespace headrace::ops_testing
