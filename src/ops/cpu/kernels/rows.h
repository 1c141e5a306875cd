// Ops on single rows. Contract R2 (docs/numerics.md): sums run in 16 lanes within blocks of 1024 columns,
// lanes fold by halves, blocks are added in order. Bound: memory (L1 or L2, where activations live).
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

constexpr size_t kBlock = 1024;

static void rms_norm_row(const float* x, const float* gain, float eps, float* y, size_t n) {
  float squares = 0;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = begin + kBlock < n ? begin + kBlock : n;
    V16 acc = set1(0.0F);
    size_t i = begin;
    for (; i + 16 <= end; i += 16) {
      const V16 v = load(x + i);
      acc = fma(v, v, acc);
    }
    if (i < end) {
      const V16 v = load_n(x + i, end - i);
      acc = fma(v, v, acc);
    }
    squares += fold_add(acc);
  }
  const float scale = 1.0F / root(squares / static_cast<float>(n) + eps);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, mul(mul(load(x + i), set1(scale)), load(gain + i)));
  if (i < n) store_n(y + i, mul(mul(load_n(x + i, n - i), set1(scale)), load_n(gain + i, n - i)), n - i);
}

template <typename F>
static inline void for_each_16(const float* a, const float* b, float* y, size_t n, F f) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, f(load(a + i), load(b + i)));
  if (i < n) store_n(y + i, f(load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
}

static void silu_row(const float* gate, const float* up, float* y, size_t n) {
  for_each_16(gate, up, y, n, [](V16 g, V16 u) { return mul(silu(g), u); });
}
static void gelu_tanh_row(const float* gate, const float* up, float* y, size_t n) {
  for_each_16(gate, up, y, n, [](V16 g, V16 u) { return mul(gelu_tanh(g), u); });
}
static void add_row(float* x, const float* y, size_t n) {
  for_each_16(x, y, x, n, [](V16 a, V16 b) { return add(a, b); });
}

static inline void turn(const float* angles, size_t n, size_t i, float& a, float& b) {
  const float cosine = angles[i];
  const float sine = angles[n + i];
  const float turned = a * cosine - b * sine;
  b = b * cosine + a * sine;
  a = turned;
}
static void rope_halves(const float* angles, size_t n, float* x) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const V16 cosine = load(angles + i);
    const V16 sine = load(angles + n + i);
    const V16 a = load(x + i);
    const V16 b = load(x + n + i);
    store(x + i, sub(mul(a, cosine), mul(b, sine)));
    store(x + n + i, add(mul(b, cosine), mul(a, sine)));
  }
  for (; i < n; ++i) turn(angles, n, i, x[i], x[n + i]);
}
static void rope_interleaved(const float* angles, size_t n, float* x) {
  for (size_t i = 0; i < n; ++i) turn(angles, n, i, x[2 * i], x[2 * i + 1]);
}

static inline uint16_t to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
static void store_floats(DType type, const float* x, size_t n, std::byte* out, size_t out_step) {
  if (type == DType::F32) {
    float* p = reinterpret_cast<float*>(out);
    for (size_t i = 0; i < n; ++i) p[i * out_step] = x[i];
    return;
  }
  uint16_t* p = reinterpret_cast<uint16_t*>(out);
  if (type == DType::F16) {
    for (size_t i = 0; i < n; ++i) p[i * out_step] = one_float_to_half(x[i]);
  } else {
    for (size_t i = 0; i < n; ++i) p[i * out_step] = to_bf16(x[i]);
  }
}

// Passes over NaNs: max() returns its second argument then, and `acc` never is one.
static float max_row(const float* x, size_t n) {
  V16 acc = set1(-__builtin_inff());
  size_t i = 0;
  for (; i + 16 <= n; i += 16) acc = max(load(x + i), acc);
  float largest = fold_max(acc);
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

static double sum_exp_row(const float* x, size_t n, float largest) {
  double sum = 0;
  const V16 shift = set1(largest);
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = begin + kBlock < n ? begin + kBlock : n;
    V16 acc = set1(0.0F);
    size_t i = begin;
    for (; i + 16 <= end; i += 16) acc = add(acc, exp(sub(load(x + i), shift)));
    if (i < end) {
      const V16 last = exp(sub(load_n(x + i, end - i), shift));
      acc = add(acc, keep_bits(last, (1U << (end - i)) - 1, 0.0F));
    }
    sum += static_cast<double>(fold_add(acc));
  }
  return sum;
}

static void quantise_row(const float* x, size_t k, size_t group, const QuantisedTiles& tile, size_t width,
                         size_t row) {
  const auto quants = [&](size_t i) { return tile.quants + (i / 64 * width + row) * 64 + i % 64; };
  const auto put_sums = [&](size_t g, int32_t low, int32_t high) {
    if (group == 32) {
      tile.float_sums_32[g * width + row] = static_cast<float>(low + high);
      return;
    }
    int16_t* halves = tile.sums_16 + 2 * (g * width + row);
    halves[0] = static_cast<int16_t>(low);
    halves[1] = static_cast<int16_t>(high);
    tile.sums_32[2 * (g / 2 * width + row) + g % 2] = static_cast<int16_t>(low + high);
  };
  for (size_t begin = 0; begin < k; begin += group) {
    I16 bits = int_set1(0);
    for (size_t i = begin; i < begin + group; i += 16) bits = int_max(bits, magnitude_bits(x + i));
    const int32_t largest = int_fold_max(bits);
    float magnitude;
    __builtin_memcpy(&magnitude, &largest, 4);
    const bool finite = largest < 0x7F800000;
    if (!finite || magnitude < 0x1p-100F) {
      for (size_t i = begin; i < begin + group; ++i) *quants(i) = 0;
      for (size_t g = begin / 32; g < (begin + group) / 32; ++g) put_sums(g, 0, 0);
      tile.scales[begin / group * width + row] = finite ? 0.0F : __builtin_nanf("");
      continue;
    }
    const V16 inverse = set1(127.0F / magnitude);
    for (size_t i = begin; i < begin + group; i += 32) {
      // |x| * (127 / max) stays below 127.5: no clamp is needed to keep it within +-127 after rounding.
      const I16 low = round_to_int(mul(load(x + i), inverse));
      const I16 high = round_to_int(mul(load(x + i + 16), inverse));
      store_s8(quants(i), low);
      store_s8(quants(i + 16), high);
      put_sums(i / 32, int_fold_add(low), int_fold_add(high));
    }
    tile.scales[begin / group * width + row] = magnitude / 127.0F;
  }
}

}  // namespace headrace::cpu::HEADRACE_TIER
