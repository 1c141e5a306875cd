// Attention of up to kAttendQueries queries of one key head over one item's keys.
//
// Contract (docs/numerics.md, "Attention"): blocks of 64 positions, online softmax a block at a time; a score
// is R0's chain over d; values are added in order of position; keys that a query does not see are skipped,
// never multiplied. Splits of 512 fold left inside spans of 4096, spans fold left. Which slot of which page
// holds a position is invisible in the bits. Layout: keys [d][page_tokens], so a vector holds 16 neighbouring
// slots; values [page_tokens][d]. Bound: the block's keys and values (32 KiB at d = 64, f32) stay in the
// nearest caches while all queries use them; for many queries they become floats there once, and the rest is
// multiplications.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

constexpr float kMinusInfinity = -__builtin_inff();

template <DType Type>
static inline V16 load_typed(const std::byte* p, size_t index) {
  if constexpr (Type == DType::F32) return load(reinterpret_cast<const float*>(p) + index);
  if constexpr (Type == DType::F16) return load_f16(reinterpret_cast<const uint16_t*>(p) + index);
  return load_bf16(reinterpret_cast<const uint16_t*>(p) + index);
}
// Calls f.template operator()<Type>(): no loop asks for the type again.
template <typename F>
static inline void with_type(DType type, const F& f) {
  if (type == DType::F32) return f.template operator()<DType::F32>();
  if (type == DType::F16) return f.template operator()<DType::F16>();
  f.template operator()<DType::BF16>();
}
static inline float get_typed(DType type, const std::byte* p, size_t index) {
  if (type == DType::F32) return reinterpret_cast<const float*>(p)[index];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(p)[index];
  if (type == DType::F16) return one_half_to_float(bits);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}

// Running softmax state: weighted values, maximum, sum. In memory: d floats, m, l.
struct State {
  float* o;
  size_t d;
  bool saw_keys = false;  // m tells nothing: it stays -infinity when all scores are NaN
  float& m() const { return o[d]; }
  float& l() const { return o[d + 1]; }
};
static inline void copy_state(State to, State from) {
  __builtin_memcpy(to.o, from.o, (from.d + 2) * sizeof(float));
}

template <typename F>
static inline void for_chunks(size_t d, F f) {
  for (size_t i = 0; i < d; i += 16) f(i, d - i < 16 ? d - i : 16);
}

// a = merge(a, b).
static void merge(State a, State b) {
  const float m = a.m() > b.m() ? a.m() : b.m();
  const V16 scale_a = exp(set1(a.m() - m));
  const V16 scale_b = exp(set1(b.m() - m));
  for_chunks(a.d, [&](size_t i, size_t n) {
    store_n(a.o + i, fma(load_n(a.o + i, n), scale_a, mul(load_n(b.o + i, n), scale_b)), n);
  });
  float l[16];
  store(l, fma(set1(a.l()), scale_a, mul(set1(b.l()), scale_b)));
  a.l() = l[0];
  a.m() = m;
}

// The left fold over splits and spans of one query.
struct Fold {
  State span;
  State total;
  size_t span_number = 0;
  bool has_span = false;
  bool has_total = false;

  void close_span() {
    if (!has_span) return;
    if (has_total)
      merge(total, span);
    else
      copy_state(total, span);
    has_total = true;
    has_span = false;
  }
  void add(size_t split, State partial) {
    const size_t number = split / (kSpanPositions / kSplitPositions);
    if (has_span && number != span_number) close_span();
    if (has_span)
      merge(span, partial);
    else
      copy_state(span, partial);
    has_span = true;
    span_number = number;
  }
  void finish(float* out) {
    close_span();
    if (!has_total) return;
    const V16 inverse = set1(1.0F / total.l());
    for_chunks(total.d,
               [&](size_t i, size_t n) { store_n(out + i, mul(load_n(total.o + i, n), inverse), n); });
  }
};

// Two lines of what is read soon, for a step of a loop: a head's keys and values of a page are too short for
// the processor to see that they go on. `ahead` may be null, which asks for nothing.
static inline void ask_for_two_lines(const std::byte* ahead, size_t step) {
  __builtin_prefetch(ahead + 128 * step);
  __builtin_prefetch(ahead + 128 * step + 64);
}

// Keys of a head: input i of the key in slot s stands at i * stride + s.
struct Keys {
  const std::byte* at;
  size_t stride;
  DType type;
};

// Products of Q queries with the keys of V vectors of 16 slots, summed over d from begin to end.
template <DType Type, int Q, int V>
static inline void score_segment(const AttendTask& t, size_t first, const Keys& keys, size_t slot,
                                 size_t begin, size_t end, const std::byte* ahead, V16 (&out)[Q * V]) {
  const float* x[Q];
  for (int q = 0; q < Q; ++q) x[q] = t.q[first + static_cast<size_t>(q)];
  V16 acc[Q * V];  // of its own, or g++ would store `out` in every turn
  for (int i = 0; i < Q * V; ++i) acc[i] = set1(0.0F);
  for (size_t i = begin; i < end; ++i) {
    if (ahead != nullptr) ask_for_two_lines(ahead, i);
    V16 k[V];
    for (int v = 0; v < V; ++v)
      k[v] = load_typed<Type>(keys.at, i * keys.stride + slot + 16 * static_cast<size_t>(v));
    for (int q = 0; q < Q; ++q) {
      const V16 factor = set1(x[q][i]);
      for (int v = 0; v < V; ++v) acc[q * V + v] = fma(factor, k[v], acc[q * V + v]);
    }
  }
  for (int i = 0; i < Q * V; ++i) out[i] = acc[i];
}

// Scores of Q queries against V vectors of 16 slots, from slot `slot` on (a multiple of 16).
template <int Q, int V>
static inline void score_slots(const AttendTask& t, size_t first, const Keys& keys, size_t slot,
                               const std::byte* ahead, float (*out)[Q][16 * V]) {
  const size_t d = t.kv->d_head;
  TreeSums<Q * V> sums((d + 63) / 64);
  with_type(keys.type, [&]<DType Type>() {
    for (size_t begin = 0; begin < d; begin += 64) {
      V16 segment[Q * V];
      score_segment<Type, Q, V>(t, first, keys, slot, begin, begin + 64 < d ? begin + 64 : d, ahead, segment);
      sums.add(segment);
    }
  });
  for (int q = 0; q < Q; ++q) {
    for (int v = 0; v < V; ++v) store(&(*out)[q][16 * v], mul(sums.total(q * V + v), set1(t.scale)));
  }
}

// The block at hand: where each position's key and value stand.
struct Block {
  uint32_t base;                             // first position
  uint64_t held;                             // positions for which there is a key
  const std::byte* next_keys;                // of the block that follows, or null
  const std::byte* values[kBlockPositions];  // row of the position, where held
  DType value_type;
};

static inline size_t element_bytes(DType type) {
  return type == DType::F32 ? 4 : 2;
}

// Scores for queries [first, first + Q) of run slots [slot, slot + count), which hold positions from base +
// offset on.
template <int Q>
static void score_run(const AttendTask& t, size_t first, const Keys& keys, size_t slot, size_t count,
                      size_t offset, const std::byte* ahead, float* scores) {
  if (slot % 64 == 0 && count == 64 && offset == 0) {
    constexpr size_t step = 16 * vectors_beside(Q);
    for (size_t s = 0; s < 64; s += step) {
      float out[Q][step];
      score_slots<Q, vectors_beside(Q)>(t, first, keys, slot + s, s == 0 ? ahead : nullptr, &out);
      for (int q = 0; q < Q; ++q) {
        float* row = scores + (first + static_cast<size_t>(q)) * kBlockPositions;
        __builtin_memcpy(row + s, out[q], sizeof out[q]);
      }
    }
    return;
  }
  for (size_t at = slot / 16 * 16; at < slot + count; at += 16) {
    float out[Q][16];
    score_slots<Q, 1>(t, first, keys, at, nullptr, &out);
    const size_t begin = at < slot ? slot : at;
    const size_t end = at + 16 < slot + count ? at + 16 : slot + count;
    for (int q = 0; q < Q; ++q) {
      float* row = scores + (first + static_cast<size_t>(q)) * kBlockPositions + offset;
      for (size_t s = begin; s < end; ++s) row[s - slot] = out[q][s - at];
    }
  }
}

// Calls f.template operator()<Q>(first) for tiles of kQueryTile queries, then for a smaller one of those that
// are left.
template <int Q, typename F>
static inline void tile_of(size_t count, size_t first, const F& f) {
  if (count == Q) return f.template operator()<Q>(first);
  if constexpr (Q > 1) tile_of<Q - 1>(count, first, f);
}
template <typename F>
static inline void for_tiles(size_t n, const F& f) {
  for (size_t first = 0; first < n; first += kQueryTile) {
    tile_of<kQueryTile>(n - first < kQueryTile ? n - first : kQueryTile, first, f);
  }
}

// Whether one of queries [first, first + count) sees one of positions [begin, end).
static inline bool any_sees(const AttendTask& t, size_t first, size_t count, uint32_t begin, uint32_t end) {
  for (size_t q = first; q < first + count; ++q) {
    if (t.begin[q] < end && t.end[q] > begin) return true;
  }
  return false;
}

// `position`: of the first slot. `ahead`: the values of the same slots, which come next.
static void score_all(const AttendTask& t, const Keys& keys, size_t slot, size_t count, uint32_t position,
                      const std::byte* ahead, float* scores) {
  const size_t offset = position % kBlockPositions;
  for_tiles(t.n_queries, [&]<int Q>(size_t first) {
    if (!any_sees(t, first, Q, position, position + static_cast<uint32_t>(count))) return;
    score_run<Q>(t, first, keys, slot, count, offset, first == 0 ? ahead : nullptr, scores);
  });
}

static inline uint64_t bits_below(uint32_t n) {
  return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}

// Positions of the block that query q sees.
static inline uint64_t seen(const AttendTask& t, size_t q, const Block& block) {
  const uint32_t end = t.end[q] > block.base ? t.end[q] - block.base : 0;
  const uint32_t begin = t.begin[q] > block.base ? t.begin[q] - block.base : 0;
  return block.held & bits_below(end) & ~bits_below(begin);
}

// scores -> exponentials; updates m and l; returns the factor for the values so far.
static inline float softmax_block(uint64_t bits, float* p, State state) {
  V16 v[4];
  V16 largest = set1(kMinusInfinity);
  for (int i = 0; i < 4; ++i) {
    v[i] = keep_bits(load(p + 16 * i), static_cast<uint32_t>(bits >> (16 * i)) & 0xFFFF, kMinusInfinity);
    largest = max(v[i], largest);
  }
  const float block_max = fold_max(largest);
  const float m = block_max > state.m() ? block_max : state.m();
  for (int i = 0; i < 4; ++i) {
    v[i] = keep_bits(exp(sub(v[i], set1(m))), static_cast<uint32_t>(bits >> (16 * i)) & 0xFFFF, 0.0F);
    store(p + 16 * i, v[i]);
  }
  const float sum = fold_add(add(add(v[0], v[1]), add(v[2], v[3])));
  const float rescale = exp_one(state.m() - m);
  state.l() = __builtin_fmaf(state.l(), rescale, sum);
  state.m() = m;
  return rescale;
}

// o = o * rescale + p * values over the positions in `bits`, Q queries at once, 16 C columns at a time.
template <DType Type, int Q, int C>
static inline void add_columns(const Block& block, uint64_t bits, const float* p, const float* rescale,
                               float* const* o, size_t column, const std::byte* ahead) {
  V16 acc[Q][C];
  for (int q = 0; q < Q; ++q) {
    for (int c = 0; c < C; ++c) acc[q][c] = mul(load(o[q] + column + 16 * c), set1(rescale[q]));
  }
  for (uint64_t left = bits; left != 0; left &= left - 1) {
    const int j = __builtin_ctzll(left);
    if (ahead != nullptr) ask_for_two_lines(ahead, static_cast<size_t>(j));
    V16 value[C];
    for (int c = 0; c < C; ++c)
      value[c] = load_typed<Type>(block.values[j], column + 16 * static_cast<size_t>(c));
    for (int q = 0; q < Q; ++q) {
      const V16 weight = set1(p[static_cast<size_t>(q) * kBlockPositions + static_cast<size_t>(j)]);
      for (int c = 0; c < C; ++c) acc[q][c] = fma(weight, value[c], acc[q][c]);
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int c = 0; c < C; ++c) store(o[q] + column + 16 * c, acc[q][c]);
  }
}

template <DType Type, int Q>
static void add_values_of(size_t d, const Block& block, uint64_t bits, const float* p, const float* rescale,
                          float* const* o, const std::byte* ahead) {
  size_t column = 0;
  constexpr int C = vectors_beside(Q);
  for (; column + 16 * C <= d; column += 16 * C)
    add_columns<Type, Q, C>(block, bits, p, rescale, o, column, column == 0 ? ahead : nullptr);
  for (; column + 16 <= d; column += 16) add_columns<Type, Q, 1>(block, bits, p, rescale, o, column, nullptr);
  for (; column < d; ++column) {
    for (int q = 0; q < Q; ++q) {
      float acc = o[q][column] * rescale[q];
      for (uint64_t left = bits; left != 0; left &= left - 1) {
        const int j = __builtin_ctzll(left);
        acc = __builtin_fmaf(p[static_cast<size_t>(q) * kBlockPositions + static_cast<size_t>(j)],
                             get_typed(Type, block.values[j], column), acc);
      }
      o[q][column] = acc;
    }
  }
}

template <int Q>
static void add_values(DType type, size_t d, const Block& block, uint64_t bits, const float* p,
                       const float* rescale, float* const* o, const std::byte* ahead) {
  with_type(type, [&]<DType Type>() { add_values_of<Type, Q>(d, block, bits, p, rescale, o, ahead); });
}

// The positions that all queries of a tile see, if each of them sees these as one stretch of its own: what
// else it sees lies below or above. 0 if there is no such stretch.
static inline uint64_t common_stretch(const uint64_t* bits, int queries) {
  uint64_t common = ~uint64_t{0};
  for (int q = 0; q < queries; ++q) common &= bits[q];
  if (common == 0) return 0;
  const int low = __builtin_ctzll(common);
  const int high = 64 - __builtin_clzll(common);
  const uint64_t between = bits_below(static_cast<uint32_t>(high)) & ~bits_below(static_cast<uint32_t>(low));
  for (int q = 0; q < queries; ++q) {
    if ((bits[q] & between) != common) return 0;
  }
  return common;
}

// Adds the block's values to the Q queries' states: together where they see the same positions, so that each
// value is loaded once, and one by one before and after. Each query's values come in order of position.
template <int Q>
static void add_tile(const AttendTask& t, const Block& block, const uint64_t* bits, const float* p,
                     float* rescale, float* const* o, const std::byte* ahead) {
  const DType type = block.value_type;
  const size_t d = t.kv->d_head;
  const uint64_t common = Q == 1 ? 0 : common_stretch(bits, Q);
  const uint64_t below = common == 0 ? ~uint64_t{0} : (common & (~common + 1)) - 1;
  for (int q = 0; q < Q; ++q) {
    const uint64_t first = bits[q] & below;
    if (first == 0) continue;
    add_values<1>(type, d, block, first, p + static_cast<size_t>(q) * kBlockPositions, rescale + q, o + q,
                  Q == 1 ? ahead : nullptr);
    rescale[q] = 1;
  }
  if (common == 0) return;
  add_values<Q>(type, d, block, common, p, rescale, o, ahead);
  for (int q = 0; q < Q; ++q) {
    const uint64_t rest = bits[q] & ~below & ~common;
    const float one = 1;
    if (rest == 0) continue;
    add_values<1>(type, d, block, rest, p + static_cast<size_t>(q) * kBlockPositions, &one, o + q, nullptr);
  }
}

// From so many queries on, a block's keys and values become floats once for all of them.
constexpr size_t kWideningQueries = 2 * kQueryTile + 1;

static void widen(DType type, const std::byte* from, size_t index, size_t n, float* to) {
  with_type(type, [&]<DType Type>() {
    const size_t whole = n / 16 * 16;
    for (size_t i = 0; i < whole; i += 16) store(to + i, load_typed<Type>(from, index + i));
    for (size_t i = whole; i < n; ++i) to[i] = get_typed(Type, from, index + i);
  });
}
// The keys of a whole block: input i of position j comes to i * kBlockPositions + j.
static void widen_keys(const Keys& keys, size_t slot, size_t d, float* to) {
  for (size_t i = 0; i < d; ++i)
    widen(keys.type, keys.at, i * keys.stride + slot, kBlockPositions, to + i * kBlockPositions);
}
static void widen_values(Block& block, size_t d, float* to) {
  for (uint32_t j = 0; j < kBlockPositions; ++j, to += d) {
    widen(block.value_type, block.values[j], 0, d, to);
    block.values[j] = reinterpret_cast<const std::byte*>(to);
  }
  block.value_type = DType::F32;
}

static void finish_block(const AttendTask& t, Block& block, float* wide_values, float* scores,
                         State* states) {
  if (t.n_queries >= kWideningQueries && block.value_type != DType::F32 && block.held == ~uint64_t{0})
    widen_values(block, t.kv->d_head, wide_values);

  float rescale[kAttendQueries];
  float* o[kAttendQueries];
  uint64_t bits[kAttendQueries];
  for (size_t q = 0; q < t.n_queries; ++q) {
    bits[q] = seen(t, q, block);
    o[q] = states[q].o;
    if (bits[q] != 0) states[q].saw_keys = true;
    if (bits[q] != 0) rescale[q] = softmax_block(bits[q], scores + q * kBlockPositions, states[q]);
  }
  for_tiles(t.n_queries, [&]<int Q>(size_t q) {
    add_tile<Q>(t, block, bits + q, scores + q * kBlockPositions, rescale + q, o + q,
                q == 0 ? block.next_keys : nullptr);
  });
}

static inline void clear_state(State& state) {
  state.saw_keys = false;
  for (size_t i = 0; i < state.d; ++i) state.o[i] = 0.0F;
  state.m() = kMinusInfinity;
  state.l() = 0.0F;
}

// Walks the runs block by block: scores each run's part of a block as it comes, finishes the block when the
// next run's keys lie beyond it, and the split when the block was its last.
struct Walk {
  const AttendTask& t;
  float* scores;
  float* wide_keys;
  float* wide_values;
  State state[kAttendQueries];
  Fold fold[kAttendQueries];
  float* partial[kAttendQueries];
  Block block;
  bool open = false;

  explicit Walk(const AttendTask& task) : t(task), scores(task.scratch) {
    const size_t d = t.kv->d_head;
    wide_keys = scores + kAttendQueries * kBlockPositions;
    wide_values = wide_keys + kBlockPositions * (d + 16);
    float* next = wide_values + kBlockPositions * (d + 16);
    for (size_t q = 0; q < t.n_queries; ++q) {
      state[q] = {next, d};
      fold[q].span = {next + d + 16, d};
      fold[q].total = {next + 2 * (d + 16), d};
      next += 3 * (d + 16);
      partial[q] = t.out[q];
      clear_state(state[q]);
      if (!t.partials || !t.resumes[q]) continue;
      copy_state(state[q], {partial[q], d});
      state[q].saw_keys = true;
    }
  }

  void close_split(size_t split) {
    for (size_t q = 0; q < t.n_queries; ++q) {
      if (!state[q].saw_keys) continue;
      if (t.partials) {
        copy_state({partial[q], state[q].d}, state[q]);
        partial[q] += t.partial_stride;
      } else {
        fold[q].add(split, state[q]);
      }
      clear_state(state[q]);
    }
  }

  void move_to(uint32_t base) {
    if (open && block.base == base) return;
    if (open) {
      finish_block(t, block, wide_values, scores, state);
      if (block.base / kSplitPositions != base / kSplitPositions) close_split(block.base / kSplitPositions);
    }
    block.base = base;
    block.held = 0;
    block.next_keys = nullptr;
    block.value_type = t.kv->value_type;
    open = true;
  }

  const std::byte* keys_of(const KvRun& run) const {
    const KvView& kv = *t.kv;
    const size_t head_elements = size_t{kv.d_head} * kv.page_tokens;
    return kv.pages + run.page * kv.page_bytes + kv.key_offset +
           t.kv_head * head_elements * element_bytes(kv.key_type);
  }

  // `next`: the run that follows, or null.
  void add_run(const KvRun& run, const KvRun* next, uint32_t begin, uint32_t end) {
    const KvView& kv = *t.kv;
    const std::byte* page = kv.pages + run.page * kv.page_bytes;
    const Keys stored = {keys_of(run), kv.page_tokens, kv.key_type};
    const bool wide = t.n_queries >= kWideningQueries;
    const size_t row_bytes = kv.d_head * element_bytes(kv.value_type);
    const std::byte* values = page + kv.value_offset + t.kv_head * kv.page_tokens * row_bytes;
    uint32_t position = run.position > begin ? run.position : begin;
    const uint32_t run_end = run.position + run.count < end ? run.position + run.count : end;
    while (position < run_end) {
      const uint32_t base = position / kBlockPositions * kBlockPositions;
      move_to(base);
      const uint32_t stop = base + kBlockPositions < run_end ? base + kBlockPositions : run_end;
      const uint32_t count = stop - position;
      const uint32_t slot = run.slot + (position - run.position);
      const uint32_t offset = position - base;
      if (wide && kv.key_type != DType::F32 && count == kBlockPositions && slot % 16 == 0) {
        widen_keys(stored, slot, kv.d_head, wide_keys);
        const Keys widened = {reinterpret_cast<const std::byte*>(wide_keys), kBlockPositions, DType::F32};
        score_all(t, widened, 0, count, position, nullptr, scores);
      } else {
        score_all(t, stored, slot, count, position, values + slot * row_bytes, scores);
      }
      if (stop == run_end && next != nullptr) block.next_keys = keys_of(*next);
      block.held |= (bits_below(count)) << offset;
      for (uint32_t j = 0; j < count; ++j) block.values[offset + j] = values + (slot + j) * row_bytes;
      position = stop;
    }
  }

  void finish() {
    if (!open) return;
    finish_block(t, block, wide_values, scores, state);
    close_split(block.base / kSplitPositions);
    if (t.partials) return;
    for (size_t q = 0; q < t.n_queries; ++q) fold[q].finish(t.out[q]);
  }
};

static void attend(const AttendTask& t) {
  uint32_t begin = t.begin[0];
  uint32_t end = t.end[0];
  for (size_t q = 1; q < t.n_queries; ++q) {
    begin = t.begin[q] < begin ? t.begin[q] : begin;
    end = t.end[q] > end ? t.end[q] : end;
  }
  Walk walk(t);
  for (size_t i = 0; i < t.n_runs; ++i)
    walk.add_run(t.runs[i], i + 1 < t.n_runs ? t.runs + i + 1 : nullptr, begin, end);
  walk.finish();
}

static void reduce(const ReduceTask& t) {
  Fold fold;
  fold.span = {t.scratch, t.d_head};
  fold.total = {t.scratch + t.d_head + 16, t.d_head};
  // merge() only reads its second argument.
  for (size_t i = 0; i < t.n_partials; ++i) {
    fold.add(t.first_split + i, {const_cast<float*>(t.partials + i * t.stride), t.d_head});
  }
  fold.finish(t.out);
}

}  // namespace headrace::cpu::HEADRACE_TIER
