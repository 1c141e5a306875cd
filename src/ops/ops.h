// The ops that models are written in. Each call checks that its shapes agree (a mismatch is a bug of ours and
// aborts with both sizes) and forwards to the backend. See backend.h for what each op computes.
#pragma once

#include <initializer_list>

#include "ops/backend.h"

namespace headrace {

class Ops {
 public:
  Ops(Backend& backend, ActivationNumerics numerics) : backend_(backend), numerics_(numerics) {}

  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) const;
  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) const;
  /// Several projections of one input share its quantisation: linear(h, {{&w.q, q}, {&w.k, k}}).
  void linear(ConstMat x, std::initializer_list<Projection> projections) const;
  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) const;
  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) const;
  void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) const;
  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) const;
  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) const;
  void add(Mat x, ConstMat y) const;
  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) const;
  void log_sum_exp(ConstMat logits, double* out) const;
  void argmax(ConstMat logits, int32_t* out) const;
  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) const;

 private:
  Backend& backend_;
  ActivationNumerics numerics_;
};

}  // namespace headrace
