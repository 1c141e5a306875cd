#include "ops/traced_backend.h"

namespace headrace {

class TracedBackend final : public Backend {
 public:
  TracedBackend(std::unique_ptr<Backend> inner, Trace& trace) : inner_(std::move(inner)), trace_(trace) {}

  std::string name() const override { return inner_->name(); }
  void upload(void* device, const void* host, size_t bytes) override { inner_->upload(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override {
    inner_->download(host, device, bytes);
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

  void copy(void* to, const void* from, size_t bytes) override {
    const TraceSpan span(&trace_, TraceKind::op, "copy", {{{"bytes", bytes}}});
    inner_->copy(to, from, bytes);
  }
  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) override {
    const TraceSpan span(&trace_, TraceKind::op, "embed", shape(y), name_of(table.type));
    inner_->embed(ids, table, scale, y);
  }
  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) override {
    const TraceSpan span(&trace_, TraceKind::op, "rms_norm", shape(x));
    inner_->rms_norm(x, gain, eps, y);
  }
  // Several projections of one input are one op: n is that of all, the type that of the first.
  void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) override {
    uint64_t n = 0;
    for (const Projection& projection : projections) n += projection.linear->weight.n;
    const TraceSpan span(&trace_, TraceKind::op, "linear", {{{"rows", x.rows}, {"n", n}, {"k", x.cols}}},
                         projections.empty() ? "" : name_of(projections.front().linear->weight.type));
    inner_->linear(x, projections, numerics);
  }
  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) override {
    const TraceSpan span(&trace_, TraceKind::op, "rope_angles", shape(angles));
    inner_->rope_angles(positions, frequencies, angles);
  }
  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) override {
    const TraceSpan span(&trace_, TraceKind::op, "rope", shape(x));
    inner_->rope(style, angles, d_head, x);
  }
  void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
               size_t count) override {
    const TraceSpan span(&trace_, TraceKind::op, "move_kv", {{{"rows", count}, {"layers", layers}}});
    inner_->move_kv(first, layer_bytes, layers, from, to, count);
  }
  void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) override {
    const TraceSpan span(&trace_, TraceKind::op, "store_kv", shape(k));
    inner_->store_kv(angles, positions, k, v, slots, kv);
  }
  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) override {
    const TraceSpan span(&trace_, TraceKind::op, "attend", shape(q));
    inner_->attend(q, kv, plan, scale, out);
  }
  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) override {
    const TraceSpan span(&trace_, TraceKind::op, "gated", shape(gate));
    inner_->gated(act, gate, up, y);
  }
  void add(Mat x, ConstMat y) override {
    const TraceSpan span(&trace_, TraceKind::op, "add", shape(x));
    inner_->add(x, y);
  }
  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) override {
    const TraceSpan span(&trace_, TraceKind::op, "gather_rows", shape(y));
    inner_->gather_rows(x, rows, y);
  }
  void log_sum_exp(ConstMat logits, double* out) override {
    const TraceSpan span(&trace_, TraceKind::op, "log_sum_exp", shape(logits));
    inner_->log_sum_exp(logits, out);
  }
  void argmax(ConstMat logits, int32_t* out) override {
    const TraceSpan span(&trace_, TraceKind::op, "argmax", shape(logits));
    inner_->argmax(logits, out);
  }
  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) override {
    const TraceSpan span(&trace_, TraceKind::op, "top_k", shape(logits));
    inner_->top_k(logits, k, ids, values);
  }

 protected:
  std::byte* allocate_bytes(size_t bytes) override { return inner_->allocate_bytes(bytes); }
  void free_bytes(std::byte* data, size_t bytes) override { inner_->free_bytes(data, bytes); }

 private:
  static std::array<TraceSize, kTraceSizes> shape(ConstMat x) { return {{{"rows", x.rows}, {"n", x.cols}}}; }

  std::unique_ptr<Backend> inner_;
  Trace& trace_;
};

std::unique_ptr<Backend> make_traced_backend(std::unique_ptr<Backend> inner, Trace& trace) {
  return std::make_unique<TracedBackend>(std::move(inner), trace);
}

}  // namespace headrace
