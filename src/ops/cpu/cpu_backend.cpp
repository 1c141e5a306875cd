#include "ops/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/checked.h"
#include "core/threads.h"
#include "ops/cpu/machine_kernels.h"
#include "ops/cpu/pack.h"
#include "ops/cpu/panel.h"
#include "ops/elementary.h"
#include "ops/quantise.h"

namespace headrace {
namespace {

using cpu::kAttendQueries;
using cpu::kPanelWidth;

// Pointwise work below this many floats is done by the caller: waking a thread costs more.
constexpr size_t kFloatsPerThread = 8192;
constexpr size_t kPartsPerThread = 8;
// A linear has more where each still has so much to do: threads finish together. Not one for each panel:
// panels of a part share the blocks of rows that they read.
constexpr size_t kLongPartsPerThread = 32;
constexpr size_t kProductsPerPart = size_t{1} << 20;
constexpr size_t kTilesPerThread = 4;         // of attention, if they need not be smaller for it than
constexpr size_t kLeastTileQueries = 8;       // so many
constexpr size_t kAttendPartsPerThread = 32;  // tiles differ in cost: later rows see more keys
// int8 rows are taken in blocks that stay in a core's second-level cache while panel after panel goes by
// (row_block_bytes): whole tiles, and enough that reading the panels again costs little.
// Float rows are not: their panels are larger, and arithmetic takes longer than either.
constexpr size_t kLeastRowBlock = 64;

// How a linear reads its activations: as they are, as int8 with a scale for each 32 or 256, or, in level
// `machine`, as bf16 pieces. Projections of one call that read them alike share the conversion.
enum class Reading : uint8_t { floats, groups_of_32, groups_of_256, pieces };
constexpr Reading kReadings[] = {Reading::floats, Reading::groups_of_32, Reading::groups_of_256,
                                 Reading::pieces};
constexpr size_t group_of(Reading reading) {
  return reading == Reading::groups_of_32 ? 32 : 256;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const cpu::KernelTable& kernels, const cpu::MachineKernels* machine, size_t threads)
      : kernels_(kernels), machine_(machine), pool_(threads) {}

  std::string name() const override {
    const std::string tier = fmt::format("cpu {}", cpu::name_of(kernels_.tier));
    return machine_ == nullptr ? tier : fmt::format("{} {}", tier, machine_->name);
  }

  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, bytes);  // no bytes may come without an address
  }
  void download(void* host, const void* device, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }

  void use_threads(size_t count) override { pool_.use(std::clamp<size_t>(count, 1, pool_.threads())); }
  size_t threads() const override { return pool_.threads(); }

  Status prepare(MemoryLedger& ledger, const ScratchNeeds& more) override {
    const ScratchNeeds needs = {std::max(needs_.max_rows, more.max_rows), std::max(needs_.max_k, more.max_k),
                                std::max(needs_.max_d_head, more.max_d_head)};
    if (needs == needs_) return {};
    scratch_ = DeviceBuffer();
    const size_t rows = needs.max_rows;
    const size_t k = round_up(needs.max_k, 256);
    max_rows_ = rows;
    attend_floats_ = round_up(cpu::attend_scratch_floats(needs.max_d_head), 16);
    const size_t quant_bytes = rows * k + cpu::kReadBeyond;
    const size_t scale_bytes = round_up(rows * (k / 32) * sizeof(float), 64) + cpu::kReadBeyond;
    const size_t sum_16_bytes = round_up(rows * (k / 16) * sizeof(int16_t), 64) + cpu::kReadBeyond;
    const size_t sum_32_bytes = round_up(rows * (k / 32) * sizeof(int16_t), 64) + cpu::kReadBeyond;
    const size_t float_sum_32_bytes = scale_bytes;
    const size_t piece_bytes = machine_ == nullptr ? 0
                                                   : ceil_div(rows, machine_->tile_rows) *
                                                             machine_->tile_size(k) * sizeof(uint16_t) +
                                                         cpu::kReadBeyond;
    const size_t activation_bytes = round_up(
        std::max(quant_bytes + scale_bytes + sum_16_bytes + sum_32_bytes + float_sum_32_bytes, piece_bytes),
        64);
    const size_t panel_bytes = std::max(k * kPanelWidth * sizeof(float), cpu::kDecodedBytes);
    const size_t segment_bytes = most_segment_floats(k) * sizeof(float);
    const size_t tail_bytes = rows * kPanelWidth * sizeof(float);
    worker_bytes_ = panel_bytes + tail_bytes + segment_bytes + attend_floats_ * sizeof(float);
    HEADRACE_TRY(scratch_, allocate(ledger, MemoryUse::scratch,
                                    activation_bytes + worker_bytes_ * pool_.threads(), "scratch"));
    activations_ = {
        .quants = scratch_.as<int8_t>(),
        .scales = scratch_.as<float>(quant_bytes),
        .sums_16 = scratch_.as<int16_t>(quant_bytes + scale_bytes),
        .sums_32 = scratch_.as<int16_t>(quant_bytes + scale_bytes + sum_16_bytes),
        .float_sums_32 = scratch_.as<float>(quant_bytes + scale_bytes + sum_16_bytes + sum_32_bytes)};
    pieces_ = scratch_.as<uint16_t>();  // instead of those: one linear has one reading at a time
    workers_ = scratch_.data() + activation_bytes;
    panel_bytes_ = panel_bytes;
    tail_bytes_ = tail_bytes;
    max_k_ = k;
    needs_ = needs;
    return {};
  }

  size_t packed_bytes(DType type, uint32_t n, uint32_t k) const override {
    return ceil_div(n, kPanelWidth) * cpu::panel_bytes(type, k);
  }

  void pack(DType type, uint32_t n, uint32_t k, const std::byte* rows, std::byte* packed) override {
    const size_t row_bytes = *bytes_of(type, k);
    pool_.parallel_for(ceil_div(n, kPanelWidth), [&](size_t panel, size_t) {
      const size_t first = panel * kPanelWidth;
      cpu::pack_panel(type, k, std::min(kPanelWidth, n - first), rows + first * row_bytes,
                      packed + panel * cpu::panel_bytes(type, k));
    });
  }

  void embed(const int32_t* ids, const Weight& table, float scale, Mat y) override {
    const size_t panel_bytes = cpu::panel_bytes(table.type, table.k);
    for_rows(y.rows, y.cols, [&](size_t r) {
      const auto id = static_cast<size_t>(ids[r]);
      cpu::decode_panel(table.type, table.data + id / kPanelWidth * panel_bytes, table.k, id % kPanelWidth, 1,
                        y.row(r), 0, 1);
      for (size_t i = 0; i < y.cols; ++i) y.row(r)[i] *= scale;
    });
  }

  void rms_norm(ConstMat x, ConstVec gain, float eps, Mat y) override {
    for_rows(x.rows, x.cols,
             [&](size_t r) { kernels_.rms_norm_row(x.row(r), gain.data, eps, y.row(r), x.cols); });
  }

  void linear(ConstMat x, std::span<const Projection> projections, ActivationNumerics numerics) override {
    HEADRACE_CHECK(x.rows <= max_rows_ && x.cols <= max_k_);
    if (x.rows == 0) return;
    // Projections of one call may differ in type (Q4_K beside Q6_K, Q5_0 beside Q8_0).
    for (const Reading reading : kReadings) {
      size_t panels = 0;
      for (const Projection& p : projections) panels += reading_of(p, numerics) == reading ? panels_of(p) : 0;
      if (panels == 0) continue;
      if (reading == Reading::pieces)
        split(x);
      else if (reading != Reading::floats)
        quantise(x, group_of(reading));
      const size_t parts = parts_of(panels, x.rows * x.cols * kPanelWidth);
      const size_t block = row_block(reading, x);
      pool_.parallel_for(parts, [&](size_t part, size_t worker) {
        for (size_t row = 0; row < x.rows; row += block) {
          const RowRange rows = {row, std::min(block, x.rows - row)};
          size_t next = panels * part / parts;
          size_t left = panels * (part + 1) / parts - next;
          for (const Projection& p : projections) {
            if (reading_of(p, numerics) != reading) continue;
            const size_t own = panels_of(p);
            while (next < own && left > 0) {
              const size_t done = reading == Reading::pieces
                                      ? run_pieces(x, p, next, std::min(left, own - next), rows, worker)
                                      : run_panel(x, p, reading, next, rows, worker);
              next += done;
              left -= done;
            }
            next -= std::min(next, own);
          }
        }
      });
    }
  }

  void rope_angles(const uint32_t* positions, ConstVec frequencies, Mat angles) override {
    const size_t n = frequencies.size;
    for_rows(angles.rows, 32 * n, [&](size_t r) {
      for (size_t i = 0; i < n; ++i) {
        const float angle = static_cast<float>(positions[r]) * frequencies.data[i];
        const SinCos turn = sincos_f64(static_cast<double>(angle));
        angles.row(r)[i] = static_cast<float>(turn.cos);
        angles.row(r)[n + i] = static_cast<float>(turn.sin);
      }
    });
  }

  void rope(RopeStyle style, ConstMat angles, uint32_t d_head, Mat x) override {
    const auto turn = style == RopeStyle::halves ? kernels_.rope_halves : kernels_.rope_interleaved;
    for_rows(x.rows, x.cols, [&](size_t r) {
      for (size_t c = 0; c < x.cols; c += d_head) turn(angles.row(r), angles.cols / 2, x.row(r) + c);
    });
  }

  void move_kv(const KvView& first, size_t layer_bytes, size_t layers, const KvSlot* from, const KvSlot* to,
               size_t count) override {
    const size_t key_bytes = info_of(first.key_type).block_bytes;
    const size_t value_bytes = first.d_head * info_of(first.value_type).block_bytes;
    const size_t keys = size_t{first.n_kv_heads} * first.d_head;
    pool_.parallel_for(layers, [&](size_t layer, size_t) {
      size_t run = 0;
      for (size_t i = 0; i < count; i += run) {
        run = run_of_moves(from + i, to + i, count - i);
        if (from[i].page == to[i].page && from[i].slot == to[i].slot) continue;
        const std::byte* source = first.pages + from[i].page * first.page_bytes + layer * layer_bytes;
        std::byte* target = first.pages + to[i].page * first.page_bytes + layer * layer_bytes;
        for (size_t k = 0; k < keys; ++k) {  // [key][token]
          std::memmove(target + first.key_offset + (k * first.page_tokens + to[i].slot) * key_bytes,
                       source + first.key_offset + (k * first.page_tokens + from[i].slot) * key_bytes,
                       run * key_bytes);
        }
        for (size_t h = 0; h < first.n_kv_heads; ++h) {  // [head][token][value]
          std::memmove(target + first.value_offset + (h * first.page_tokens + to[i].slot) * value_bytes,
                       source + first.value_offset + (h * first.page_tokens + from[i].slot) * value_bytes,
                       run * value_bytes);
        }
      }
    });
  }

  void store_kv(ConstMat angles, const uint32_t* /*positions*/, ConstMat k, ConstMat v, const KvSlot* slots,
                const KvView& kv) override {
    const auto turn = kv.rope.style == RopeStyle::halves ? kernels_.rope_halves : kernels_.rope_interleaved;
    const size_t key_bytes = info_of(kv.key_type).block_bytes;
    const size_t value_bytes = info_of(kv.value_type).block_bytes;
    const size_t d = kv.d_head;
    pool_.parallel_for(threads_for(k.rows, 2 * k.cols) == 1 ? 1 : k.rows, [&](size_t task, size_t worker) {
      float* key = worker_floats(worker);
      const size_t end = threads_for(k.rows, 2 * k.cols) == 1 ? k.rows : task + 1;
      for (size_t r = task; r < end; ++r) {
        std::byte* page = kv.pages + slots[r].page * kv.page_bytes;
        for (size_t h = 0; h < kv.n_kv_heads; ++h) {
          std::copy_n(k.row(r) + h * d, d, key);
          turn(angles.row(r), angles.cols / 2, key);
          std::byte* keys = page + kv.key_offset + (h * d * kv.page_tokens + slots[r].slot) * key_bytes;
          std::byte* values = page + kv.value_offset + (h * kv.page_tokens + slots[r].slot) * d * value_bytes;
          kernels_.store_floats(kv.key_type, key, d, keys, kv.page_tokens);
          kernels_.store_floats(kv.value_type, v.row(r) + h * d, d, values, 1);
        }
      }
    });
  }

  void attend(ConstMat q, const KvView& kv, const AttentionPlan& plan, float scale, Mat out) override {
    const size_t heads = q.cols / kv.d_head;
    uint32_t first = 0;
    for (const uint32_t end : plan.wave_ends) {
      if (end > first) attend_items(q, kv, plan, first, end, scale, out);
      first = std::max(first, end);
    }
    attend_items(q, kv, plan, first, plan.n_items, scale, out);
    pool_.parallel_for(plan.n_reduces * heads, [&](size_t task, size_t worker) {
      const AttentionReduce& reduce = plan.reduces[task / heads];
      const size_t head = task % heads;
      kernels_.reduce({.partials = plan.partials + (reduce.first_partial * heads + head) * (kv.d_head + 2),
                       .stride = heads * (kv.d_head + 2),
                       .n_partials = reduce.n_partials,
                       .first_split = reduce.first_split,
                       .d_head = kv.d_head,
                       .out = out.row(reduce.row) + head * kv.d_head,
                       .scratch = attend_scratch(worker)});
    });
  }

  void gated(Activation act, ConstMat gate, ConstMat up, Mat y) override {
    const auto kernel = act == Activation::silu ? kernels_.silu_row : kernels_.gelu_tanh_row;
    for_rows(y.rows, 4 * y.cols, [&](size_t r) { kernel(gate.row(r), up.row(r), y.row(r), y.cols); });
  }

  void add(Mat x, ConstMat y) override {
    for_rows(x.rows, x.cols, [&](size_t r) { kernels_.add_row(x.row(r), y.row(r), x.cols); });
  }

  void gather_rows(ConstMat x, const uint32_t* rows, Mat y) override {
    for (size_t i = 0; i < y.rows; ++i) std::memcpy(y.row(i), x.row(rows[i]), y.cols * sizeof(float));
  }

  void log_sum_exp(ConstMat logits, double* out) override {
    for_rows(logits.rows, 4 * logits.cols, [&](size_t r) {
      const float largest = kernels_.max_row(logits.row(r), logits.cols);
      out[r] =
          static_cast<double>(largest) + log_f64(kernels_.sum_exp_row(logits.row(r), logits.cols, largest));
    });
  }

  void argmax(ConstMat logits, int32_t* out) override {
    for_rows(logits.rows, logits.cols, [&](size_t r) {
      const float* row = logits.row(r);
      const float largest = kernels_.max_row(row, logits.cols);
      size_t best = 0;
      while (best < logits.cols && row[best] != largest) ++best;
      out[r] = static_cast<int32_t>(best < logits.cols ? best : 0);  // all NaN: 0
    });
  }

  void top_k(ConstMat logits, uint32_t k, int32_t* ids, float* values) override {
    for_rows(logits.rows, logits.cols, [&](size_t r) {
      kernels_.top_k_row(logits.row(r), logits.cols, k, ids + r * k, values + r * k);
    });
  }

 protected:
  // Anonymous maps are zero, page-aligned, and take memory only when touched; large ones ask for huge pages.
  std::byte* allocate_bytes(size_t bytes) override {
    void* data =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) return nullptr;
    ::madvise(data, bytes, MADV_HUGEPAGE);
    return static_cast<std::byte*>(data);
  }
  void free_bytes(std::byte* data, size_t bytes) override { ::munmap(data, bytes); }

 private:
  struct RowRange {
    size_t first;
    size_t count;
  };

  // Moves from neighbours to neighbours that can be one: to another page, or to lower slots.
  static size_t run_of_moves(const KvSlot* from, const KvSlot* to, size_t count) {
    if (from->page == to->page && to->slot > from->slot) return 1;
    size_t run = 1;
    while (run < count && from[run].page == from->page && to[run].page == to->page &&
           from[run].slot == from->slot + run && to[run].slot == to->slot + run)
      ++run;
    return run;
  }

  Reading reading_of(const Projection& p, ActivationNumerics numerics) const {
    const Weight& w = p.linear->weight;
    if (machine_ != nullptr && w.type == DType::BF16 && w.k % cpu::kMachineInputs == 0)
      return Reading::pieces;
    if (!info_of(w.type).quantised || numerics == ActivationNumerics::f32) return Reading::floats;
    return activation_group(w.type) == 32 ? Reading::groups_of_32 : Reading::groups_of_256;
  }
  static size_t panels_of(const Projection& p) { return ceil_div(p.linear->weight.n, kPanelWidth); }
  static size_t tiles_of(const AttentionItem& item, size_t group, size_t queries) {
    return ceil_div(item.n_rows * group, queries);
  }

  size_t threads_for(size_t rows, size_t floats_per_row) const {
    return std::clamp<size_t>(rows * floats_per_row / kFloatsPerThread, 1,
                              std::clamp<size_t>(rows, 1, pool_.threads()));
  }

  // Calls body(row) for every row, in contiguous parts.
  template <typename F>
  void for_rows(size_t rows, size_t floats_per_row, F body) {
    if (rows == 0) return;
    const size_t parts = threads_for(rows, floats_per_row);
    pool_.parallel_for(parts, [&](size_t part, size_t) {
      for (size_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) body(r);
    });
  }

  std::byte* worker_scratch(size_t worker) const { return workers_ + worker * worker_bytes_; }
  float* worker_floats(size_t worker) const { return reinterpret_cast<float*>(worker_scratch(worker)); }
  float* attend_scratch(size_t worker) const {
    return reinterpret_cast<float*>(worker_scratch(worker) + worker_bytes_) - attend_floats_;
  }

  void quantise(ConstMat x, size_t group) {
    const size_t tile_rows = kernels_.tile_rows;
    for_rows(x.rows, 2 * x.cols, [&](size_t r) {
      const size_t first = r / tile_rows * tile_rows;
      kernels_.quantise_row(x.row(r), x.cols, group, cpu::tiles_from(activations_, first, x.cols, group),
                            std::min(tile_rows, x.rows - first), r - first);
    });
  }

  void split(ConstMat x) {
    const size_t rows = machine_->tile_rows;
    for_rows(ceil_div(x.rows, rows), 2 * rows * x.cols, [&](size_t tile) {
      machine_->split_tile(x.row(tile * rows), x.stride, std::min(rows, x.rows - tile * rows), x.cols,
                           pieces_ + tile * machine_->tile_size(x.cols));
    });
  }

  // Of `panels` panels, each of which takes `products`.
  size_t parts_of(size_t panels, size_t products) const {
    const size_t least = kPartsPerThread * pool_.threads();
    const size_t most = kLongPartsPerThread * pool_.threads();
    return std::min(panels, std::clamp(panels * products / kProductsPerPart, least, most));
  }

  size_t row_block(Reading reading, ConstMat x) const {
    if (reading == Reading::floats) return x.rows;
    if (reading != Reading::pieces) return quantised_block(x.cols);
    return pieces_block(x.cols);
  }
  size_t quantised_block(size_t k) const { return rows_in_block(cpu::quants_of_row(k), kernels_.tile_rows); }
  size_t rows_in_block(size_t row_bytes, size_t tile_rows) const {
    return std::max(round_up(kLeastRowBlock, tile_rows),
                    kernels_.row_block_bytes / row_bytes / tile_rows * tile_rows);
  }
  size_t pieces_block(size_t k) const {
    return rows_in_block(machine_->tile_size(k) * sizeof(uint16_t) / machine_->tile_rows,
                         machine_->tile_rows);
  }
  // For any number of inputs up to k: more inputs can have fewer rows in a block, and need less.
  size_t most_segment_floats(size_t k) const {
    size_t most = 0;
    for (size_t inputs = 32; inputs <= k; inputs += 32) {
      if (kernels_.keeps_segments)
        most = std::max(most, cpu::segment_floats(std::min(quantised_block(inputs), max_rows_), inputs));
      if (machine_ != nullptr && machine_->keeps_segments)
        most = std::max(most, machine_->most_panels *
                                  cpu::segment_floats(std::min(pieces_block(inputs), max_rows_), inputs));
    }
    return most;
  }

  // A panel that hangs over the matrix's edge writes its 16 columns here first.
  float* tail(size_t worker) const { return worker_floats(worker) + panel_bytes_ / sizeof(float); }
  static bool is_whole(const Projection& p, size_t panel) {
    return (panel + 1) * kPanelWidth <= p.linear->weight.n;
  }

  // Rows of one panel. Returns the panels done.
  size_t run_panel(ConstMat x, const Projection& p, Reading reading, size_t panel, RowRange rows,
                   size_t worker) {
    const Weight& w = p.linear->weight;
    const size_t group = group_of(reading);
    const bool whole = is_whole(p, panel);
    cpu::LinearTask task = {.type = w.type,
                            .panel = w.data + panel * cpu::panel_bytes(w.type, w.k),
                            .k = w.k,
                            .rows = rows.count,
                            .group = group,
                            .x_tiles = cpu::tiles_from(activations_, rows.first, x.cols, group),
                            .x = x.row(rows.first),
                            .x_stride = x.stride,
                            .y = whole ? p.y.row(rows.first) + panel * kPanelWidth : tail(worker),
                            .y_stride = whole ? p.y.stride : kPanelWidth,
                            .decoded = reinterpret_cast<int8_t*>(worker_scratch(worker)),
                            .segments = tail(worker) + tail_bytes_ / sizeof(float)};
    if (reading != Reading::floats) {
      kernels_.linear_quantised(task);
    } else {
      if (info_of(w.type).quantised) {
        kernels_.decode_panel(w.type, task.panel, w.k, worker_floats(worker));
        task.type = DType::F32;
        task.panel = worker_scratch(worker);
      }
      kernels_.linear_float(task);
    }
    finish_panel(p, panel, rows, worker);
    return 1;
  }

  // As run_panel, of level `machine`: several panels as long as they are whole.
  size_t run_pieces(ConstMat x, const Projection& p, size_t panel, size_t most, RowRange rows,
                    size_t worker) {
    const Weight& w = p.linear->weight;
    const bool whole = is_whole(p, panel);
    size_t n = 1;
    while (n < std::min(most, machine_->most_panels) && is_whole(p, panel + n)) ++n;
    cpu::MachineTask task = {
        .n_panels = n,
        .panels = {},
        .y = {},
        .y_stride = whole ? p.y.stride : kPanelWidth,
        .k = w.k,
        .rows = rows.count,
        .pieces = pieces_ + rows.first / machine_->tile_rows * machine_->tile_size(x.cols),
        .tile_stride = machine_->tile_size(x.cols),
        .segments = tail(worker) + tail_bytes_ / sizeof(float)};
    for (size_t i = 0; i < task.n_panels; ++i) {
      task.panels[i] = w.data + (panel + i) * cpu::panel_bytes(w.type, w.k);
      task.y[i] = whole ? p.y.row(rows.first) + (panel + i) * kPanelWidth : tail(worker);
    }
    machine_->linear(task);
    for (size_t i = 0; i < task.n_panels; ++i) finish_panel(p, panel + i, rows, worker);
    return task.n_panels;
  }

  // The bias, and what a panel over the edge wrote elsewhere.
  void finish_panel(const Projection& p, size_t panel, RowRange rows, size_t worker) const {
    const bool whole = is_whole(p, panel);
    const float* bias = p.linear->bias.data == nullptr ? nullptr : p.linear->bias.data + panel * kPanelWidth;
    if (whole && bias == nullptr) return;
    const size_t columns = std::min(kPanelWidth, p.linear->weight.n - panel * kPanelWidth);
    for (size_t r = 0; r < rows.count; ++r) {
      float* y = p.y.row(rows.first + r) + panel * kPanelWidth;
      for (size_t c = 0; c < columns; ++c) {
        const float value = whole ? y[c] : tail(worker)[r * kPanelWidth + c];
        y[c] = bias == nullptr ? value : value + bias[c];
      }
    }
  }

  void attend_items(ConstMat q, const KvView& kv, const AttentionPlan& plan, uint32_t first, uint32_t end,
                    float scale, Mat out) {
    const size_t group = q.cols / kv.d_head / kv.n_kv_heads;
    // A tile is some queries of one key head; an item has tiles_of() for each of them.
    size_t queries = kAttendQueries;
    const auto tiles_in = [&](uint32_t item) {
      return tiles_of(plan.items[item], group, queries) * kv.n_kv_heads;
    };
    const auto count_tiles = [&] {
      size_t tiles = 0;
      for (uint32_t i = first; i < end; ++i) tiles += tiles_in(i);
      return tiles;
    };
    // Large tiles read keys less often, small ones keep all threads busy.
    size_t tiles = count_tiles();
    while (tiles < kTilesPerThread * pool_.threads() && queries > kLeastTileQueries) {
      queries /= 2;
      tiles = count_tiles();
    }
    const size_t parts = std::min(tiles, kAttendPartsPerThread * pool_.threads());
    pool_.parallel_for(parts, [&](size_t part, size_t worker) {
      size_t tile = tiles * part / parts;
      size_t left = tiles * (part + 1) / parts - tile;
      uint32_t item = first;
      for (; left > 0; --left, ++tile) {
        while (tile >= tiles_in(item)) tile -= tiles_in(item++);
        const size_t per_head = tiles_of(plan.items[item], group, queries);
        attend_tile(q, kv, plan, plan.items[item], tile / per_head, tile % per_head * queries, queries, scale,
                    out, worker);
      }
    });
  }

  void attend_tile(ConstMat q, const KvView& kv, const AttentionPlan& plan, const AttentionItem& item,
                   size_t kv_head, size_t first, size_t queries, float scale, Mat out, size_t worker) {
    const size_t heads = q.cols / kv.d_head;
    const size_t group = heads / kv.n_kv_heads;
    cpu::AttendTask task = {};
    task.kv = &kv;
    task.kv_head = kv_head;
    task.runs = plan.runs + item.first_run;
    task.n_runs = item.n_runs;
    task.n_queries = std::min(queries, item.n_rows * group - first);
    task.partials = !item.whole;
    task.partial_stride = heads * (kv.d_head + 2);
    task.scale = scale;
    task.scratch = attend_scratch(worker);
    for (size_t i = 0; i < task.n_queries; ++i) {
      const AttentionItemRow& row = plan.item_rows[item.first_row + (first + i) / group];
      const size_t head = kv_head * group + (first + i) % group;
      task.q[i] = q.row(row.row) + head * kv.d_head;
      task.begin[i] = row.begin;
      task.end[i] = row.end;
      task.resumes[i] = row.resumes;
      task.out[i] = item.whole ? out.row(row.row) + head * kv.d_head
                               : plan.partials + (row.first_partial * heads + head) * (kv.d_head + 2);
    }
    kernels_.attend(task);
  }

  const cpu::KernelTable& kernels_;
  const cpu::MachineKernels* machine_;  // null in level `exact`
  ThreadPool pool_;
  ScratchNeeds needs_;
  DeviceBuffer scratch_;
  cpu::QuantisedTiles activations_ = {};
  uint16_t* pieces_ = nullptr;
  std::byte* workers_ = nullptr;
  size_t worker_bytes_ = 0;
  size_t panel_bytes_ = 0;
  size_t tail_bytes_ = 0;
  size_t attend_floats_ = 0;
  size_t max_rows_ = 0;
  size_t max_k_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(cpu::Tier tier, size_t threads, Numerics numerics) {
  return make_cpu_backend(*cpu::kernel_table(tier),
                          numerics == Numerics::machine ? cpu::machine_kernels(tier) : nullptr, threads);
}
std::unique_ptr<Backend> make_cpu_backend(const cpu::KernelTable& kernels, const cpu::MachineKernels* machine,
                                          size_t threads) {
  return std::make_unique<CpuBackend>(kernels, machine, threads);
}

}  // namespace headrace
