#include "ops/reference/reference_backend.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/checked.h"
#include "ops/elementary.h"
#include "ops/quantise.h"
#include "ops/reduce.h"
#include "ops/reference/reference_ops.h"
#include "tensor/blocks.h"

namespace headrace {
namespace {

// One output of a linear with float weights (or dequantised ones).
float dot_float(const float* w, const float* x, size_t k) {
  TreeSum sum(ceil_div(k, kFloatSegment));
  for (size_t begin = 0; begin < k; begin += kFloatSegment) {
    float acc = 0;
    for (size_t i = begin; i < std::min(begin + kFloatSegment, k); ++i) acc = std::fmaf(w[i], x[i], acc);
    sum.add(acc);
  }
  return sum.total();
}

// One output of a linear with quantised weights: exact integers per block, one float addition per block.
float dot_quantised(DType type, const std::byte* w, const int8_t* q, const float* scales, size_t k) {
  const DTypeInfo& info = info_of(type);
  TreeSum sum(ceil_div(k, kQuantSegment));
  BlockParts block;
  for (size_t begin = 0; begin < k; begin += kQuantSegment) {
    float acc = 0;
    for (size_t i = begin; i < std::min(begin + kQuantSegment, k); i += info.block_elements) {
      split_block(type, w + i / info.block_elements * info.block_bytes, block);
      int32_t products = 0;
      int32_t minimums = 0;
      for (size_t j = 0; j < block.elements; ++j) {
        const size_t g = j / block.group;
        products += block.scales[g] * block.quants[j] * q[i + j];
        minimums += block.minimums[g] * q[i + j];
      }
      const float scale = scales[i / info.block_elements];
      acc = std::fmaf(static_cast<float>(products), block.d * scale, acc);
      if (info_of(type).minimum) acc = std::fmaf(static_cast<float>(minimums) * scale, -block.dmin, acc);
    }
    sum.add(acc);
  }
  return sum.total();
}

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }

  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, bytes);  // no bytes may come without an address
  }
  void download(void* host, const void* device, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  Status prepare(MemoryLedger&, const ScratchNeeds&) override { return {}; }

  size_t packed_bytes(DType type, uint32_t n, uint32_t k) const override { return n * *bytes_of(type, k); }
  void pack(DType type, uint32_t n, uint32_t k, const std::byte* rows, std::byte* packed) override {
    std::memcpy(packed, rows, packed_bytes(type, n, k));
  }

  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) override {
    for (size_t r = 0; r < y.rows; ++r) {
      dequantise_row(table.type, weight_row(table, static_cast<size_t>(ids[r])), table.k, y.row(r));
      for (size_t i = 0; i < y.cols; ++i) y.row(r)[i] *= scale;
    }
  }

  void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) override {
    for (const Projection& p : projections) {
      const Weight& w = p.linear->weight;
      const bool quantised = info_of(w.type).quantised && numerics == ActivationNumerics::int8;
      for (size_t r = 0; r < x.rows; ++r) {
        if (quantised)
          linear_row_quantised(x.row(r), w, p.y.row(r));
        else
          linear_row_float(x.row(r), w, p.y.row(r));
        for (size_t n = 0; p.linear->bias.data != nullptr && n < w.n; ++n)
          p.y.row(r)[n] += p.linear->bias.data[n];
      }
    }
  }

  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) override {
    reference::rms_norm(x, gain, eps, y);
  }
  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) override {
    reference::rope_angles(positions, frequencies, angles);
  }
  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) override {
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t c = 0; c < x.cols; c += d_head) {
        reference::rope_head(style, angles.row(r), angles.cols / 2, x.row(r) + c);
      }
    }
  }
  void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
               size_t count) override {
    reference::move_kv(first, layer_bytes, layers, from, to, count);
  }
  void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) override {
    reference::store_kv(angles, positions, k, v, slots, kv);
  }
  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) override {
    reference::attend(q, kv, plan, scale, out);
  }
  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) override {
    for (size_t r = 0; r < y.rows; ++r) {
      for (size_t i = 0; i < y.cols; ++i) {
        const float g = gate.row(r)[i];
        y.row(r)[i] = (act == Activation::silu ? silu_f32(g) : gelu_tanh_f32(g)) * up.row(r)[i];
      }
    }
  }
  void add(Mat x, ConstMat y) override {
    for (size_t r = 0; r < x.rows; ++r) {
      for (size_t i = 0; i < x.cols; ++i) x.row(r)[i] += y.row(r)[i];
    }
  }
  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) override {
    for (size_t i = 0; i < y.rows; ++i) std::memcpy(y.row(i), x.row(rows[i]), y.cols * sizeof(float));
  }
  void log_sum_exp(ConstMat logits, double* out) override { reference::log_sum_exp(logits, out); }
  void argmax(ConstMat logits, int32_t* out) override {
    for (size_t r = 0; r < logits.rows; ++r) {
      const float* row = logits.row(r);
      const float largest = reference::largest_of(row, logits.cols);
      size_t best = 0;
      while (best < logits.cols && row[best] != largest) ++best;
      out[r] = static_cast<int32_t>(best < logits.cols ? best : 0);  // all NaN: 0
    }
  }
  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) override {
    reference::top_k(logits, k, ids, values);
  }

 protected:
  std::byte* allocate_bytes(size_t bytes) override {
    void* data = std::aligned_alloc(64, round_up(bytes, 64));
    if (data != nullptr) std::memset(data, 0, bytes);
    return static_cast<std::byte*>(data);
  }
  void free_bytes(std::byte* data, size_t) override { std::free(data); }

 private:
  static const std::byte* weight_row(const Weight& w, size_t n) {
    return w.data + n * *bytes_of(w.type, w.k);
  }

  void linear_row_float(const float* x, const Weight& w, float* y) {
    values_.resize(w.k);
    for (size_t n = 0; n < w.n; ++n) {
      dequantise_row(w.type, weight_row(w, n), w.k, values_.data());
      y[n] = dot_float(values_.data(), x, w.k);
    }
  }

  void linear_row_quantised(const float* x, const Weight& w, float* y) {
    const size_t group = activation_group(w.type);
    quants_.resize(w.k);
    values_.resize(w.k / group);
    for (size_t i = 0; i < w.k; i += group)
      values_[i / group] = quantise_group(x + i, group, quants_.data() + i);
    for (size_t n = 0; n < w.n; ++n) {
      y[n] = dot_quantised(w.type, weight_row(w, n), quants_.data(), values_.data(), w.k);
    }
  }

  std::vector<float> values_;
  std::vector<int8_t> quants_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace headrace
