// Takes tensors out of a checkpoint by name, checks type and shape against what the architecture wants, and
// packs them into one device buffer.
#pragma once

#include <set>
#include <string>

#include "models/checkpoint.h"
#include "models/model.h"

namespace headrace {

/// The longest row of a tensor that any model may have.
inline constexpr uint64_t kMaxVectorElements = 1 << 22;

class WeightLoader {
 public:
  /// Books and allocates memory for all tensors, or refuses with the bytes needed and free.
  static Result<WeightLoader> create(const Checkpoint& checkpoint, Backend& backend, MemoryLedger& ledger,
                                     const LoadOptions& options);

  /// A loader that only checks: every call below answers as it would, nothing is allocated, read or packed.
  static WeightLoader checker(const Checkpoint& checkpoint, Backend& backend, const LoadOptions& options);

  /// Weights [n outputs][k inputs].
  Result<Linear> linear(const std::string& name, uint64_t n, uint64_t k, Split split);
  /// The bias of `name` ("….weight" -> "….bias").
  Status add_bias(Linear& linear, const std::string& name);
  /// The same if the file has one.
  Status add_bias_if_any(Linear& linear, const std::string& name);
  /// A float vector of n, in host memory.
  Result<std::vector<float>> values(const std::string& name, uint64_t n);
  /// The same on the device.
  Result<ConstVec> vector(const std::string& name, uint64_t n);
  /// A norm's weights, with the checkpoint's norm_offset().
  Result<ConstVec> norm(const std::string& name, uint64_t n);
  /// A vector that the loader computes: n floats uploaded from host memory.
  ConstVec constant(const std::vector<float>& values);

  bool has(const std::string& name) const { return checkpoint_.find_tensor(name) != nullptr; }

  /// Fails if the file has a tensor that nobody asked for: a model with parts that would be left out of the
  /// computation must not run.
  Status finish() const;

  /// Hands over the memory that all weights live in.
  DeviceBuffer take_buffer() { return std::move(buffer_); }
  uint64_t bytes() const { return buffer_.size(); }

 private:
  WeightLoader(const Checkpoint& checkpoint, Backend& backend, const LoadOptions& options)
      : checkpoint_(checkpoint), backend_(backend), options_(options) {}
  Error wrong_shape(const std::string& name, uint64_t k, uint64_t n, const FileTensor& found) const;
  Result<const FileTensor*> take(const std::string& name, uint64_t k, uint64_t n);
  std::byte* place(size_t bytes);
  void report(const FileTensor& tensor);

  bool checks_only_ = false;

  const Checkpoint& checkpoint_;
  Backend& backend_;
  const LoadOptions& options_;
  DeviceBuffer buffer_;
  size_t used_ = 0;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  std::set<std::string, std::less<>> taken_;
};

/// Checks every tensor of `checkpoint` against what `M` wants, then loads it: a file that contradicts itself
/// is refused before any weight is read. M has `Status load(checkpoint, weights, config)`.
template <typename M, typename Config>
Result<std::unique_ptr<Model>> load_checked(const Checkpoint& checkpoint, Backend& backend,
                                            MemoryLedger& ledger, const LoadOptions& options,
                                            const Config& config) {
  WeightLoader checker = WeightLoader::checker(checkpoint, backend, options);
  HEADRACE_RETURN_IF_ERROR(M().load(checkpoint, checker, config));
  HEADRACE_TRY(WeightLoader weights, WeightLoader::create(checkpoint, backend, ledger, options));
  auto model = std::make_unique<M>();
  HEADRACE_RETURN_IF_ERROR(model->load(checkpoint, weights, config));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace headrace
