#include "ops/reference/fake_device.h"

#include <initializer_list>

#include "ops/reference/arena.h"
#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

using reference::Arena;
using reference::ArenaOpening;

// What an op reads or writes through one of its arguments.
struct Argument {
  const char* name;
  const void* data;
  size_t bytes;
};

template <typename T>
Argument array(const char* name, const T* data, size_t count) {
  return {name, data, count * sizeof(T)};
}
Argument matrix(const char* name, ConstMat x) {
  const size_t floats = x.rows == 0 || x.cols == 0 ? 0 : (x.rows - 1) * x.stride + x.cols;
  return array(name, x.data, floats);
}
Argument vector(const char* name, ConstVec x) {
  return array(name, x.data, x.size);
}
// Memory whose end the arguments don't tell.
Argument start_of(const char* name, const void* data, bool needed) {
  return {name, data, needed ? size_t{1} : 0};
}

class FakeDevice final : public Backend {
 public:
  explicit FakeDevice(size_t arena_bytes) : arena_(arena_bytes), reference_(make_reference_backend()) {}

  std::string name() const override { return "fake device"; }

  void upload(void* device, const void* host, size_t bytes) override {
    check_host("upload", host, bytes);
    check("upload", {{"device", device, bytes}});
    const ArenaOpening opening(arena_, device, bytes);
    reference_->upload(device, host, bytes);
  }
  void download(void* host, const void* device, size_t bytes) override {
    check_host("download", host, bytes);
    check("download", {{"device", device, bytes}});
    const ArenaOpening opening(arena_, device, bytes);
    reference_->download(host, device, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    const ArenaOpening opening = open("copy", {{"to", to, bytes}, {"from", from, bytes}});
    reference_->copy(to, from, bytes);
  }
  Status prepare(MemoryLedger& ledger, const ScratchNeeds& needs) override {
    return reference_->prepare(ledger, needs);
  }

  size_t packed_bytes(DType type, uint32_t n, uint32_t k) const override {
    return reference_->packed_bytes(type, n, k);
  }
  void pack(DType type, uint32_t n, uint32_t k, const std::byte* rows, std::byte* packed) override {
    const size_t bytes = packed_bytes(type, n, k);  // of rows too: the reference keeps the layout of files
    check_host("pack", rows, bytes);
    check("pack", {{"packed", packed, bytes}});
    const ArenaOpening opening(arena_, packed, bytes);
    reference_->pack(type, n, k, rows, packed);
  }

  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) override {
    const ArenaOpening opening =
        open("embed", {array("ids", ids, y.rows), weight("table", table), matrix("y", y)});
    reference_->embed(ids, table, scale, y);
  }
  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) override {
    const ArenaOpening opening = open("rms_norm", {matrix("x", x), vector("gain", gain), matrix("y", y)});
    reference_->rms_norm(x, gain, eps, y);
  }
  void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) override {
    for (const Projection& p : projections) {
      const ConstVec bias = p.linear->bias;
      check("linear", {weight("weight", p.linear->weight), matrix("y", p.y),
                       vector("bias", bias.data == nullptr ? ConstVec() : bias)});
    }
    const ArenaOpening opening = open("linear", {matrix("x", x)});
    reference_->linear(x, projections, numerics);
  }
  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) override {
    const ArenaOpening opening =
        open("rope_angles", {array("positions", positions, angles.rows), vector("frequencies", frequencies),
                             matrix("angles", angles)});
    reference_->rope_angles(positions, frequencies, angles);
  }
  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) override {
    const ArenaOpening opening = open("rope", {matrix("angles", angles), matrix("x", x)});
    reference_->rope(style, angles, d_head, x);
  }
  void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
               size_t count) override {
    const ArenaOpening opening = open("move_kv", {start_of("pages", first.pages, count > 0),
                                                  array("from", from, count), array("to", to, count)});
    reference_->move_kv(first, layer_bytes, layers, from, to, count);
  }
  void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) override {
    const size_t n_positions = positions == nullptr ? 0 : k.rows;  // codecs that need none may get none
    const ArenaOpening opening = open(
        "store_kv", {matrix("angles", angles), array("positions", positions, n_positions), matrix("k", k),
                     matrix("v", v), array("slots", slots, k.rows), start_of("pages", kv.pages, k.rows > 0),
                     vector("frequencies", kv.rope.frequencies)});
    reference_->store_kv(angles, positions, k, v, slots, kv);
  }
  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) override {
    const bool any = plan.n_items > 0;
    const size_t partial_floats = q.cols / kv.d_head * (kv.d_head + size_t{2});
    const ArenaOpening opening =
        open("attend", {matrix("q", q), matrix("out", out), start_of("pages", kv.pages, any),
                        vector("frequencies", kv.rope.frequencies), start_of("runs", plan.runs, any),
                        array("items", plan.items, plan.n_items), start_of("item_rows", plan.item_rows, any),
                        array("reduces", plan.reduces, plan.n_reduces),
                        array("partials", plan.partials, plan.n_partials * partial_floats)});
    reference_->attend(q, kv, plan, scale, out);
  }
  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) override {
    const ArenaOpening opening = open("gated", {matrix("gate", gate), matrix("up", up), matrix("y", y)});
    reference_->gated(act, gate, up, y);
  }
  void add(Mat x, ConstMat y) override {
    const ArenaOpening opening = open("add", {matrix("x", x), matrix("y", y)});
    reference_->add(x, y);
  }
  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) override {
    const ArenaOpening opening =
        open("gather_rows", {matrix("x", x), array("rows", rows, y.rows), matrix("y", y)});
    reference_->gather_rows(x, rows, y);
  }
  void log_sum_exp(ConstMat logits, double* out) override {
    const ArenaOpening opening =
        open("log_sum_exp", {matrix("logits", logits), array("out", out, logits.rows)});
    reference_->log_sum_exp(logits, out);
  }
  void argmax(ConstMat logits, int32_t* out) override {
    const ArenaOpening opening = open("argmax", {matrix("logits", logits), array("out", out, logits.rows)});
    reference_->argmax(logits, out);
  }
  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) override {
    const size_t count = logits.rows * k;
    const ArenaOpening opening =
        open("top_k", {matrix("logits", logits), array("ids", ids, count), array("values", values, count)});
    reference_->top_k(logits, k, ids, values);
  }

 protected:
  std::byte* allocate_bytes(size_t bytes) override { return arena_.allocate(bytes); }
  void free_bytes(std::byte* data, size_t) override { arena_.free(data); }

 private:
  Argument weight(const char* name, const Weight& w) const {
    return {name, w.data, packed_bytes(w.type, w.n, w.k)};
  }

  void check(const char* op, std::initializer_list<Argument> arguments) const {
    for (const Argument& argument : arguments) {
      if (argument.bytes == 0 || arena_.lends(argument.data, argument.bytes)) continue;
      panic(fmt::format("{}: {}: {} bytes that no device buffer holds", op, argument.name, argument.bytes),
            __FILE__, __LINE__);
    }
  }
  void check_host(const char* op, const void* host, size_t bytes) const {
    if (bytes == 0 || !arena_.overlaps(host, bytes)) return;
    panic(fmt::format("{}: host: expected host memory, found device memory", op), __FILE__, __LINE__);
  }
  [[nodiscard]] ArenaOpening open(const char* op, std::initializer_list<Argument> arguments) {
    check(op, arguments);
    return ArenaOpening(arena_);
  }

  Arena arena_;
  std::unique_ptr<Backend> reference_;
};

}  // namespace

std::unique_ptr<Backend> make_fake_device(size_t arena_bytes) {
  return std::make_unique<FakeDevice>(arena_bytes);
}

}  // namespace headrace
