// A backend that measures the time spent in another one's ops.
#pragma once

#include "world.h"

namespace headrace::bench {

class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  double seconds() const { return seconds_; }

  std::string name() const override { return inner_->name(); }
  // Copies between host and device are host work: they are not ops.
  void upload(void* device, const void* host, size_t bytes) override { inner_->upload(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override {
    inner_->download(host, device, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    timed([&] { inner_->copy(to, from, bytes); });
  }
  void use_threads(size_t count) override { inner_->use_threads(count); }
  size_t threads() const override { return inner_->threads(); }
  Status prepare(MemoryLedger& ledger, const ScratchNeeds& needs) override {
    return inner_->prepare(ledger, needs);
  }
  size_t packed_bytes(DType type, uint32_t n, uint32_t k) const override {
    return inner_->packed_bytes(type, n, k);
  }
  void pack(DType type, uint32_t n, uint32_t k, const std::byte* rows, std::byte* packed) override {
    inner_->pack(type, n, k, rows, packed);
  }
  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) override {
    timed([&] { inner_->embed(ids, table, scale, y); });
  }
  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) override {
    timed([&] { inner_->rms_norm(x, gain, eps, y); });
  }
  void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) override {
    timed([&] { inner_->linear(x, projections, numerics); });
  }
  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) override {
    timed([&] { inner_->rope_angles(positions, frequencies, angles); });
  }
  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) override {
    timed([&] { inner_->rope(style, angles, d_head, x); });
  }
  void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) override {
    timed([&] { inner_->store_kv(angles, positions, k, v, slots, kv); });
  }
  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) override {
    timed([&] { inner_->attend(q, kv, plan, scale, out); });
  }
  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) override {
    timed([&] { inner_->gated(act, gate, up, y); });
  }
  void add(Mat x, ConstMat y) override {
    timed([&] { inner_->add(x, y); });
  }
  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) override {
    timed([&] { inner_->gather_rows(x, rows, y); });
  }
  void log_sum_exp(ConstMat logits, double* out) override {
    timed([&] { inner_->log_sum_exp(logits, out); });
  }
  void argmax(ConstMat logits, int32_t* out) override {
    timed([&] { inner_->argmax(logits, out); });
  }
  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) override {
    timed([&] { inner_->top_k(logits, k, ids, values); });
  }

 protected:
  std::byte* allocate_bytes(size_t bytes) override {
    // The inner backend's buffers are its own; these are this one's.
    void* data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (data != nullptr) std::memset(data, 0, bytes);
    return static_cast<std::byte*>(data);
  }
  void free_bytes(std::byte* data, size_t) override { std::free(data); }

 private:
  template <typename F>
  void timed(F f) {
    const Clock::time_point begin = Clock::now();
    f();
    seconds_ += seconds_since(begin);
  }

  std::unique_ptr<Backend> inner_;
  double seconds_ = 0;
};

}  // namespace headrace::bench
