#include "ops/backend.h"

#include "core/file.h"

namespace headrace {

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(ledger_, other.ledger_);
  std::swap(use_, other.use_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  backend_->free_bytes(data_, size_);
  ledger_->release(use_, size_);
}

Result<DeviceBuffer> Backend::allocate(MemoryLedger& ledger, MemoryUse use, size_t bytes,
                                       std::string_view what, std::string_view hint) {
  HEADRACE_RETURN_IF_ERROR(ledger.reserve(use, bytes, what, hint));
  std::byte* data = bytes == 0 ? nullptr : allocate_bytes(bytes);
  if (data == nullptr && bytes != 0) {
    ledger.release(use, bytes);
    return make_error(Errc::out_of_budget, "{}: the system refused {} bytes ({})", what, bytes,
                      human_bytes(bytes));
  }
  return DeviceBuffer(this, &ledger, use, data, bytes);
}

}  // namespace headrace
