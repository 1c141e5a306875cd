// The k best of a row. The output buffers hold a heap of the best so far, the worst of them at its root,
// which is the threshold that 64 columns at a time are compared with: in random order only about k * (1 +
// ln(n / k)) of n columns ever pass it. Rejected: sorted insertion, whose cost in an ascending row grows with
// n * k. Bound: memory (L2), and for large k the heap.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

struct BestK {
  int32_t* ids;
  float* values;
  size_t k;
  size_t size;
  float least;  // what a further value must exceed: among equals the earlier index stays
};

// Puts (id, value) in the place `at` of a heap of `size` entries, or below. The root is the worst: the least
// value, among equals the highest id.
static inline void settle(const BestK& best, size_t at, size_t size, int32_t id, float value) {
  int32_t* ids = best.ids;
  float* values = best.values;
  const auto worse = [&](size_t i, float v, int32_t j) {
    return values[i] < v || (values[i] == v && ids[i] > j);
  };
  for (size_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && worse(child + 1, values[child], ids[child])) ++child;
    if (!worse(child, value, id)) break;
    ids[at] = ids[child];
    values[at] = values[child];
    at = child;
  }
  ids[at] = id;
  values[at] = value;
}

static inline void make_heap(const BestK& best) {
  for (size_t i = best.size / 2; i-- > 0;) settle(best, i, best.size, best.ids[i], best.values[i]);
}

static inline void take(BestK& best, size_t id, float value) {
  if (!(value > best.least)) return;
  if (best.size < best.k) {
    best.ids[best.size] = static_cast<int32_t>(id);
    best.values[best.size] = value;
    if (++best.size < best.k) return;
    make_heap(best);
  } else {
    settle(best, 0, best.k, static_cast<int32_t>(id), value);
  }
  best.least = best.values[0];
}

static void top_k_row(const float* x, size_t n, size_t k, int32_t* ids, float* values) {
  BestK best = {ids, values, k, 0, -__builtin_inff()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    // max() passes over NaNs in its first argument.
    const V16 least = set1(best.least);
    const V16 a = max(load(x + i + 16), max(load(x + i), least));
    const V16 b = max(load(x + i + 48), max(load(x + i + 32), least));
    if (greater_bits(max(a, b), least) == 0) continue;
    for (size_t j = i; j < i + 64; j += 16) {
      uint32_t bits = greater_bits(load(x + j), set1(best.least));
      for (; bits != 0; bits &= bits - 1) {
        const size_t id = j + static_cast<size_t>(__builtin_ctz(bits));
        take(best, id, x[id]);
      }
    }
  }
  for (; i < n; ++i) take(best, i, x[i]);

  if (best.size < k) make_heap(best);
  for (size_t size = best.size; size-- > 1;) {
    const int32_t id = ids[size];
    const float value = values[size];
    ids[size] = ids[0];
    values[size] = values[0];
    settle(best, 0, size, id, value);
  }
  for (size_t j = best.size; j < k; ++j) {
    ids[j] = -1;
    values[j] = -__builtin_inff();
  }
}

}  // namespace headrace::cpu::HEADRACE_TIER
