// What a device offers: memory, and the ops without their checks. Models use Ops (ops.h), which checks shapes
// and forwards here. Implementations: reference/ (plain loops, the truth; also as a fake device that keeps
// the host out of its memory), cpu/ (one kernel table per instruction set).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "core/memory_ledger.h"
#include "core/result.h"
#include "ops/kv.h"
#include "ops/mat.h"
#include "ops/rope.h"

namespace headrace {

enum class Activation : uint8_t { silu, gelu_tanh };

/// What the bits of results are promised to be the same for (docs/numerics.md).
enum class Numerics : uint8_t {
  exact,    // every machine, batch, chunking, cache state and number of threads
  machine,  // the same, but for the machine
};

/// How linears with quantised weights read their input (docs/numerics.md).
enum class ActivationNumerics : uint8_t {
  int8,  // rounded to int8 per row and group of K: fast, the default
  f32,   // weights are dequantised, activations stay float: for comparisons
};

/// One output of linear(): y = x * weight^T + bias, y is [x.rows, weight.n].
struct Projection {
  const Linear* linear = nullptr;
  Mat y;
};

/// The largest shapes that ops will see, so that scratch memory is taken once, before the first step.
struct ScratchNeeds {
  uint32_t max_rows = 0;
  uint32_t max_k = 0;  // inputs of a linear
  uint32_t max_d_head = 0;

  friend bool operator==(const ScratchNeeds&, const ScratchNeeds&) = default;
};

/// The most entries of a row that top_k() gives.
inline constexpr uint32_t kMaxTopK = 256;

class Backend;

/// Device memory with an owner: charged to a ledger, freed on destruction. 64-byte aligned.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Backend* backend, MemoryLedger* ledger, MemoryUse use, std::byte* data, size_t size)
      : backend_(backend), ledger_(ledger), use_(use), data_(data), size_(size) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  template <typename T>
  T* as(size_t byte_offset = 0) const {
    return reinterpret_cast<T*>(data_ + byte_offset);
  }

 private:
  Backend* backend_ = nullptr;
  MemoryLedger* ledger_ = nullptr;
  MemoryUse use_ = MemoryUse::scratch;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// One thread at a time. Pointers in arguments are device memory unless said otherwise. No op allocates.
class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu avx512", "reference": shown by doctor and in every benchmark line.
  virtual std::string name() const = 0;

  // --- memory -------------------------------------------------------------------------------------------
  /// Books `bytes` with the ledger, then allocates. Fails with out_of_budget; `what` and `hint` go into the
  /// message. The ledger must outlive the buffer. Contents are zero.
  Result<DeviceBuffer> allocate(MemoryLedger& ledger, MemoryUse use, size_t bytes, std::string_view what,
                                std::string_view hint = {});
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  /// Device to device; the ranges don't overlap.
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  /// Host threads that ops may use from now on, up to those it was made with (no effect on a device without).
  virtual void use_threads(size_t) {}
  virtual size_t threads() const { return 1; }
  /// Takes the scratch memory that ops on such shapes need. Asked again, there is room for both.
  virtual Status prepare(MemoryLedger& ledger, const ScratchNeeds& needs) = 0;

  // --- weights ------------------------------------------------------------------------------------------
  /// Bytes of weights [n][k] of `type` in the backend's layout.
  virtual size_t packed_bytes(DType type, uint32_t n, uint32_t k) const = 0;
  /// Rewrites `rows` (host memory: n rows of k elements as model files store them) into `packed`.
  virtual void pack(DType type, uint32_t n, uint32_t k, const std::byte* rows, std::byte* packed) = 0;

  // --- ops ----------------------------------------------------------------------------------------------
  /// y[r] = scale * row ids[r] of `table`.
  virtual void embed(const int32_t* ids, const Weight& table, float scale, Mat y) = 0;
  /// y[r] = x[r] / sqrt(mean(x[r]^2) + eps) * gain. y may be x.
  virtual void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) = 0;
  virtual void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) = 0;
  /// angles[r] = cos then sin of positions[r] * frequencies[i]: [rows, 2 * frequencies.size].
  virtual void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) = 0;
  /// Turns the heads of x [rows, heads * d_head] in place.
  virtual void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) = 0;
  /// Turns the keys (given before RoPE), then writes keys and values [rows, n_kv_heads * d_head] to their
  /// slots, rounded to the cache's type.
  /// `positions` are for codecs that keep keys unturned or group tokens by position.
  virtual void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v,
                        const KvSlot* slots, const KvView& kv) = 0;
  /// Moves the keys and values of a token from slot from[i] to slot to[i], one after another, in `layers`
  /// layers that stand `layer_bytes` apart, the first being `first`.
  virtual void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from,
                       const KvSlot* to, size_t count) = 0;
  /// Scaled dot-product attention of q [rows, heads * d_head] over the plan's keys.
  virtual void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) = 0;
  /// y = act(gate) * up. y may be gate or up.
  virtual void gated(Activation act, ConstMat gate, ConstMat up, Mat y) = 0;
  /// x += y.
  virtual void add(Mat x, ConstMat y) = 0;
  /// y[i] = x[rows[i]].
  virtual void gather_rows(ConstMat x, const uint32_t* rows, Mat y) = 0;
  /// out[r] = log(sum(exp(logits[r]))), in double (device memory).
  virtual void log_sum_exp(ConstMat logits, double* out) = 0;
  /// out[r] = index of the largest logit, the lowest index among equals (device memory). NaNs are passed
  /// over.
  virtual void argmax(ConstMat logits, int32_t* out) = 0;
  /// The k largest entries of each row with their indices, best first, the lower index first among equals:
  /// ids and values [rows, k] (device memory), 1 <= k <= kMaxTopK. NaN and -infinity are passed over; where
  /// fewer than k are left, the rest has id -1 and value -infinity.
  virtual void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) = 0;

 protected:
  friend class DeviceBuffer;
  friend class TracedBackend;                           // whose memory is the inner one's
  virtual std::byte* allocate_bytes(size_t bytes) = 0;  // zeroed, 64-byte aligned; nullptr if there is none
  virtual void free_bytes(std::byte* data, size_t bytes) = 0;
};

}  // namespace headrace
