// Shape checks and dispatch; no arithmetic here.
#include "ops/ops.h"

#include <string>

namespace headrace {
namespace {

void check_equal(const char* op, const char* dimension, size_t expected, size_t found) {
  if (expected == found) return;
  panic(fmt::format("{}: {}: expected {}, found {}", op, dimension, expected, found), __FILE__, __LINE__);
}

}  // namespace

void Ops::embed(const int32_t* ids, const Weight& table, float scale, Mat y) const {
  check_equal("embed", "width", table.k, y.cols);
  backend_.embed(ids, table, scale, y);
}

void Ops::rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) const {
  check_equal("rms_norm", "rows", x.rows, y.rows);
  check_equal("rms_norm", "width", x.cols, y.cols);
  check_equal("rms_norm", "gain", x.cols, gain.size);
  backend_.rms_norm(x, gain, eps, y);
}

void Ops::linear(ConstMat x, std::initializer_list<Projection> projections) const {
  for (const Projection& p : projections) {
    check_equal("linear", "inputs", p.linear->weight.k, x.cols);
    check_equal("linear", "outputs", p.linear->weight.n, p.y.cols);
    check_equal("linear", "rows", x.rows, p.y.rows);
    if (p.linear->bias.data != nullptr) check_equal("linear", "bias", p.y.cols, p.linear->bias.size);
  }
  backend_.linear(x, {projections.begin(), projections.size()}, numerics_);
}

void Ops::rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) const {
  check_equal("rope_angles", "width", 2 * frequencies.size, angles.cols);
  backend_.rope_angles(positions, frequencies, angles);
}

void Ops::rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) const {
  check_equal("rope", "rows", angles.rows, x.rows);
  check_equal("rope", "remainder of width by d_head", 0, x.cols % d_head);
  HEADRACE_CHECK(angles.cols <= d_head);
  backend_.rope(style, angles, d_head, x);
}

void Ops::store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                   const KvView& kv) const {
  check_equal("store_kv", "rows of angles", k.rows, angles.rows);
  check_equal("store_kv", "rows of values", k.rows, v.rows);
  check_equal("store_kv", "key width", size_t{kv.n_kv_heads} * kv.d_head, k.cols);
  check_equal("store_kv", "value width", size_t{kv.n_kv_heads} * kv.d_head, v.cols);
  backend_.store_kv(angles, positions, k, v, slots, kv);
}

void Ops::attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) const {
  check_equal("attend", "rows", q.rows, out.rows);
  check_equal("attend", "width", q.cols, out.cols);
  check_equal("attend", "remainder of heads by kv heads", 0, q.cols % (size_t{kv.n_kv_heads} * kv.d_head));
  HEADRACE_CHECK(plan.n_partials == 0 || plan.partials != nullptr);
  backend_.attend(q, kv, plan, scale, out);
}

void Ops::gated(Activation act, ConstMat gate, ConstMat up, Mat y) const {
  check_equal("gated", "rows", gate.rows, up.rows);
  check_equal("gated", "width", gate.cols, up.cols);
  check_equal("gated", "output rows", gate.rows, y.rows);
  check_equal("gated", "output width", gate.cols, y.cols);
  backend_.gated(act, gate, up, y);
}

void Ops::add(Mat x, ConstMat y) const {
  check_equal("add", "rows", x.rows, y.rows);
  check_equal("add", "width", x.cols, y.cols);
  backend_.add(x, y);
}

void Ops::gather_rows(ConstMat x, const uint32_t* rows, Mat y) const {
  check_equal("gather_rows", "width", x.cols, y.cols);
  backend_.gather_rows(x, rows, y);
}

void Ops::log_sum_exp(ConstMat logits, double* out) const {
  backend_.log_sum_exp(logits, out);
}

void Ops::argmax(ConstMat logits, int32_t* out) const {
  backend_.argmax(logits, out);
}

void Ops::top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) const {
  if (k < 1 || k > kMaxTopK) {
    panic(fmt::format("top_k: k: expected 1 to {}, found {}", kMaxTopK, k), __FILE__, __LINE__);
  }
  backend_.top_k(logits, k, ids, values);
}

}  // namespace headrace
