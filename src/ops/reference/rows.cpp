#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ops/elementary.h"
#include "ops/reference/reference_ops.h"
#include "tensor/half.h"

namespace headrace::reference {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kBlock = 1024;

// R2: 16 lanes within blocks of 1024 columns, the lanes folded by halves.
template <typename Step>
float block_sum(size_t begin, size_t end, Step step) {
  float lanes[kLanes] = {};
  for (size_t i = begin; i < end; ++i) lanes[i % kLanes] = step(i, lanes[i % kLanes]);
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

void put(DType type, std::byte* at, size_t index, float value) {
  if (type == DType::F32) {
    reinterpret_cast<float*>(at)[index] = value;
  } else {
    reinterpret_cast<uint16_t*>(at)[index] = type == DType::F16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
}

}  // namespace

void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) {
  for (size_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r);
    float squares = 0;
    for (size_t begin = 0; begin < x.cols; begin += kBlock) {
      squares += block_sum(begin, std::min(begin + kBlock, x.cols),
                           [&](size_t i, float acc) { return std::fmaf(row[i], row[i], acc); });
    }
    const float scale = 1.0F / std::sqrt(squares / static_cast<float>(x.cols) + eps);
    for (size_t i = 0; i < x.cols; ++i) y.row(r)[i] = (row[i] * scale) * gain.data[i];
  }
}

float largest_of(const float* x, size_t n) {
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

void log_sum_exp(ConstMat logits, double* out) {
  for (size_t r = 0; r < logits.rows; ++r) {
    const float* row = logits.row(r);
    const float largest = largest_of(row, logits.cols);
    double sum = 0;
    for (size_t begin = 0; begin < logits.cols; begin += kBlock) {
      sum += static_cast<double>(
          block_sum(begin, std::min(begin + kBlock, logits.cols),
                    [&](size_t i, float acc) { return acc + exp_f32(row[i] - largest); }));
    }
    out[r] = static_cast<double>(largest) + log_f64(sum);
  }
}

void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (size_t r = 0; r < logits.rows; ++r) {
    const float* row = logits.row(r);
    std::vector<int32_t> order;
    for (size_t i = 0; i < logits.cols; ++i) {
      if (row[i] > kNone) order.push_back(static_cast<int32_t>(i));
    }
    // Stable: equals stay in order of their ids.
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] > row[b]; });
    order.resize(k, -1);
    for (size_t i = 0; i < k; ++i) {
      ids[r * k + i] = order[i];
      values[r * k + i] = order[i] < 0 ? kNone : row[order[i]];
    }
  }
}

void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) {
  const size_t n = frequencies.size;
  for (size_t r = 0; r < angles.rows; ++r) {
    for (size_t i = 0; i < n; ++i) {
      const float angle = static_cast<float>(positions[r]) * frequencies.data[i];
      const SinCos turn = sincos_f64(static_cast<double>(angle));
      angles.row(r)[i] = static_cast<float>(turn.cos);
      angles.row(r)[n + i] = static_cast<float>(turn.sin);
    }
  }
}

void rope_head(RopeStyle style, const float* angles, size_t n, float* x) {
  for (size_t i = 0; i < n; ++i) {
    float& a = style == RopeStyle::halves ? x[i] : x[2 * i];
    float& b = style == RopeStyle::halves ? x[i + n] : x[2 * i + 1];
    const float cosine = angles[i];
    const float sine = angles[n + i];
    const float turned_a = a * cosine - b * sine;
    b = b * cosine + a * sine;
    a = turned_a;
  }
}

void store_kv(ConstMat angles, const uint32_t* /*positions*/, ConstMat k, ConstMat v, const KvSlot* slots,
              const KvView& kv) {
  std::vector<float> key(kv.d_head);
  for (size_t r = 0; r < k.rows; ++r) {
    std::byte* page = kv.pages + slots[r].page * kv.page_bytes;
    for (size_t h = 0; h < kv.n_kv_heads; ++h) {
      std::copy_n(k.row(r) + h * kv.d_head, kv.d_head, key.begin());
      rope_head(kv.rope.style, angles.row(r), angles.cols / 2, key.data());
      for (size_t i = 0; i < kv.d_head; ++i) {
        put(kv.key_type, page + kv.key_offset, (h * kv.d_head + i) * kv.page_tokens + slots[r].slot, key[i]);
        put(kv.value_type, page + kv.value_offset, (h * kv.page_tokens + slots[r].slot) * kv.d_head + i,
            v.row(r)[h * kv.d_head + i]);
      }
    }
  }
}

void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
             size_t count) {
  const size_t key_bytes = info_of(first.key_type).block_bytes;
  const size_t value_bytes = info_of(first.value_type).block_bytes;
  const auto move = [](std::byte* target, const std::byte* source, size_t bytes) {
    if (target != source) std::memcpy(target, source, bytes);
  };
  for (size_t layer = 0; layer < layers; ++layer) {
    for (size_t i = 0; i < count; ++i) {
      std::byte* source = first.pages + from[i].page * first.page_bytes + layer * layer_bytes;
      std::byte* target = first.pages + to[i].page * first.page_bytes + layer * layer_bytes;
      for (size_t e = 0; e < size_t{first.n_kv_heads} * first.d_head; ++e) {
        const auto key = [&](const KvSlot& slot) {
          return first.key_offset + (e * first.page_tokens + slot.slot) * key_bytes;
        };
        const auto value = [&](const KvSlot& slot) {
          const size_t row = e / first.d_head * first.page_tokens + slot.slot;
          return first.value_offset + (row * first.d_head + e % first.d_head) * value_bytes;
        };
        move(target + key(to[i]), source + key(from[i]), key_bytes);
        move(target + value(to[i]), source + value(from[i]), value_bytes);
      }
    }
  }
}

}  // namespace headrace::reference
