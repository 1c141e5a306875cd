// Attention as docs/numerics.md states it, for one query at a time.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "core/checked.h"
#include "ops/elementary.h"
#include "ops/quantise.h"
#include "ops/reduce.h"
#include "ops/reference/reference_ops.h"
#include "tensor/half.h"

namespace headrace::reference {
namespace {

// Softmax state of one query over some keys: running maximum, sum of exponentials, weighted values.
struct Partial {
  float m = -std::numeric_limits<float>::infinity();
  float l = 0;
  std::vector<float> o;
};

Partial merge(const Partial& a, const Partial& b) {
  Partial out;
  out.m = a.m > b.m ? a.m : b.m;
  const float scale_a = exp_f32(a.m - out.m);
  const float scale_b = exp_f32(b.m - out.m);
  out.l = std::fmaf(a.l, scale_a, b.l * scale_b);
  for (size_t i = 0; i < a.o.size(); ++i) out.o.push_back(std::fmaf(a.o[i], scale_a, b.o[i] * scale_b));
  return out;
}

// Splits fold left inside spans, spans fold left.
class SplitFold {
 public:
  void add(size_t split, const Partial& partial) {
    const size_t span = split / (kSpanPositions / kSplitPositions);
    if (span_ && span != span_number_) close_span();
    span_ = span_ ? merge(*span_, partial) : partial;
    span_number_ = span;
  }
  void finish(float* out) {
    if (span_) close_span();
    if (!total_) return;
    const float inverse = 1.0F / total_->l;
    for (size_t i = 0; i < total_->o.size(); ++i) out[i] = total_->o[i] * inverse;
  }

 private:
  void close_span() {
    total_ = total_ ? merge(*total_, *span_) : *span_;
    span_.reset();
  }
  size_t span_number_ = 0;
  std::optional<Partial> span_;
  std::optional<Partial> total_;
};

struct Key {
  uint32_t position;
  uint32_t page;
  uint32_t slot;
};

float get(DType type, const std::byte* at, size_t index) {
  if (type == DType::F32) return reinterpret_cast<const float*>(at)[index];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(at)[index];
  return type == DType::F16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

float score(const float* q, const KvView& kv, size_t head, const Key& key) {
  const std::byte* keys = kv.pages + key.page * kv.page_bytes + kv.key_offset;
  TreeSum sum(ceil_div(kv.d_head, kFloatSegment));
  for (size_t begin = 0; begin < kv.d_head; begin += kFloatSegment) {
    float acc = 0;
    for (size_t i = begin; i < std::min<size_t>(begin + kFloatSegment, kv.d_head); ++i) {
      acc = std::fmaf(q[i], get(kv.key_type, keys, (head * kv.d_head + i) * kv.page_tokens + key.slot), acc);
    }
    sum.add(acc);
  }
  return sum.total();
}

// The sum of a block's exponentials: four rows of 16 lanes by position, folded.
float block_sum(const float (&p)[kBlockPositions]) {
  float lanes[16];
  for (size_t j = 0; j < 16; ++j) lanes[j] = (p[j] + p[16 + j]) + (p[32 + j] + p[48 + j]);
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

// Online softmax over the keys of one block, in order of position.
void add_block(const float* q, const KvView& kv, size_t head, float scale, const std::vector<Key>& keys,
               Partial& state) {
  std::vector<float> scores;
  float largest = -std::numeric_limits<float>::infinity();
  for (const Key& key : keys) {
    scores.push_back(score(q, kv, head, key) * scale);
    largest = scores.back() > largest ? scores.back() : largest;
  }
  const float m = largest > state.m ? largest : state.m;
  const float rescale = exp_f32(state.m - m);
  float p[kBlockPositions] = {};
  for (size_t j = 0; j < keys.size(); ++j) p[keys[j].position % kBlockPositions] = exp_f32(scores[j] - m);
  state.l = std::fmaf(state.l, rescale, block_sum(p));
  for (size_t i = 0; i < kv.d_head; ++i) {
    float o = state.o[i] * rescale;
    for (const Key& key : keys) {
      const std::byte* values = kv.pages + key.page * kv.page_bytes + kv.value_offset;
      o = std::fmaf(p[key.position % kBlockPositions],
                    get(kv.value_type, values, (head * kv.page_tokens + key.slot) * kv.d_head + i), o);
    }
    state.o[i] = o;
  }
  state.m = m;
}

std::vector<Key> visible_keys(const AttentionPlan& plan, const AttentionItem& item,
                              const AttentionItemRow& row) {
  std::vector<Key> keys;
  for (uint32_t i = 0; i < item.n_runs; ++i) {
    const KvRun& run = plan.runs[item.first_run + i];
    for (uint32_t j = 0; j < run.count; ++j) {
      const uint32_t position = run.position + j;
      if (position >= row.begin && position < row.end) keys.push_back({position, run.page, run.slot + j});
    }
  }
  return keys;
}

void write_partial(const Partial& partial, float* at) {
  std::copy(partial.o.begin(), partial.o.end(), at);
  at[partial.o.size()] = partial.m;
  at[partial.o.size() + 1] = partial.l;
}

Partial read_partial(const float* at, size_t d) {
  return {at[d], at[d + 1], std::vector<float>(at, at + d)};
}

}  // namespace

void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) {
  const size_t d = kv.d_head;
  const size_t heads = q.cols / d;
  const size_t group = heads / kv.n_kv_heads;
  const auto partial = [&](uint32_t index, size_t head) {
    return plan.partials + (index * heads + head) * (d + 2);
  };
  for (uint32_t i = 0; i < plan.n_items; ++i) {
    const AttentionItem& item = plan.items[i];
    for (uint32_t j = 0; j < item.n_rows; ++j) {
      const AttentionItemRow& row = plan.item_rows[item.first_row + j];
      const std::vector<Key> keys = visible_keys(plan, item, row);
      for (size_t h = 0; h < heads; ++h) {
        SplitFold fold;
        uint32_t partial_index = row.first_partial;
        for (size_t at = 0; at < keys.size();) {
          const uint32_t split = keys[at].position / kSplitPositions;
          Partial state;
          state.o.assign(d, 0.0F);
          if (at == 0 && row.resumes) state = read_partial(partial(partial_index, h), d);
          while (at < keys.size() && keys[at].position / kSplitPositions == split) {
            const uint32_t block = keys[at].position / kBlockPositions;
            std::vector<Key> block_keys;
            while (at < keys.size() && keys[at].position / kBlockPositions == block)
              block_keys.push_back(keys[at++]);
            add_block(q.row(row.row) + h * d, kv, h / group, scale, block_keys, state);
          }
          if (item.whole)
            fold.add(split, state);
          else
            write_partial(state, partial(partial_index++, h));
        }
        if (item.whole) fold.finish(out.row(row.row) + h * d);
      }
    }
  }
  for (uint32_t i = 0; i < plan.n_reduces; ++i) {
    const AttentionReduce& reduce = plan.reduces[i];
    for (size_t h = 0; h < heads; ++h) {
      SplitFold fold;
      for (uint32_t j = 0; j < reduce.n_partials; ++j) {
        fold.add(reduce.first_split + j, read_partial(partial(reduce.first_partial + j, h), d));
      }
      fold.finish(out.row(reduce.row) + h * d);
    }
  }
}

}  // namespace headrace::reference
