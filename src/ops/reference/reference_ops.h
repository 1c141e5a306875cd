// The reference's loops that need more than a line. Orders: docs/numerics.md.
#pragma once

#include "ops/kv.h"
#include "ops/mat.h"
#include "ops/rope.h"

namespace headrace::reference {

void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y);
/// The largest value that is not NaN, or -infinity.
float largest_of(const float* x, size_t n);
void log_sum_exp(ConstMat logits, double* out);
void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values);
void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles);
/// Turns one head in place; `angles` holds n cosines, then n sines.
void rope_head(RopeStyle style, const float* angles, size_t n, float* x);
void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
             size_t count);
void store_kv(ConstMat angles, const uint32_t* positions, ConstMat k, ConstMat v, const KvSlot* slots,
              const KvView& kv);
void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out);

}  // namespace headrace::reference
