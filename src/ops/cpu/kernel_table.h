// The kernels of one instruction set, as a table of functions on plain data. Each tier (tier_portable.cpp,
// tier_avx2.cpp, tier_avx512.cpp) compiles the same headers below kernels/ with its own flags, in its own
// namespace; nothing inline is shared between tiers, not even from the standard library, or one tier's
// instructions would reach machines that lack them when the linker merges copies. Kernels run in one thread;
// cpu_backend.cpp spreads rows, panels and heads over threads.
//
// This header is included by every tier: plain data only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/kv.h"
#include "tensor/dtype.h"

namespace headrace::cpu {

enum class Tier : uint8_t { portable, avx2, avx512, amx };
inline constexpr size_t kTiers = 4;

/// Outputs that a weight panel holds (see panel.h for the layouts).
inline constexpr size_t kPanelWidth = 16;

/// int8 activations stand in tiles of KernelTable::tile_rows rows; the last may have fewer, its width.
/// Everything that a kernel reads one after another is one stream:
///   quants   [ceil(k / 64)][width][64]
///   scales   [k / group][width]
///   sums_16  [k / 32][width][2]   of 16 neighbouring quants; where a group has 256
///   sums_32  [k / 64][width][2]   of 32; likewise
///   float_sums_32  [k / 32][width]  of 32, exactly; where a group has 32
struct QuantisedTiles {
  int8_t* quants;
  float* scales;
  int16_t* sums_16;
  int16_t* sums_32;
  float* float_sums_32;
};
/// Kernels may read so many bytes beyond each of them, and do nothing with those.
inline constexpr size_t kReadBeyond = 1024;

constexpr size_t quants_of_row(size_t k) {
  return (k + 63) / 64 * 64;
}
/// The tile that begins with row `row`, a multiple of tile_rows.
constexpr QuantisedTiles tiles_from(const QuantisedTiles& tiles, size_t row, size_t k, size_t group) {
  return {tiles.quants + row * quants_of_row(k), tiles.scales + row * (k / group),
          tiles.sums_16 + row * (k / 16), tiles.sums_32 + row * (k / 32),
          tiles.float_sums_32 + row * (k / 32)};
}

/// One panel of a linear, for all rows: y[r][0 .. 16) = x[r] . w. y has room for 16 columns.
struct LinearTask {
  DType type;
  const std::byte* panel;
  size_t k;
  size_t rows;
  // Quantised weights.
  size_t group;  // 32 or 256 inputs a scale
  QuantisedTiles x_tiles;
  // Float weights.
  const float* x;
  size_t x_stride;
  float* y;
  size_t y_stride;
  // Where KernelTable::keeps_segments is set, 64-byte aligned:
  int8_t* decoded;  // kDecodedBytes
  float* segments;  // [ceil(k / 256)][rows, rounded up to 16][16]
};
inline constexpr size_t kDecodedBytes = 16384;
constexpr size_t segment_floats(size_t rows, size_t k) {
  return (k + 255) / 256 * ((rows + 15) / 16 * 16) * kPanelWidth;
}

/// Queries of one key head over the keys of one item. A query is a row of q for one of its heads.
inline constexpr size_t kAttendQueries = 32;
struct AttendTask {
  const KvView* kv;
  size_t kv_head;
  const KvRun* runs;
  size_t n_runs;
  size_t n_queries;
  const float* q[kAttendQueries];
  uint32_t begin[kAttendQueries];
  uint32_t end[kAttendQueries];
  // Per query: the output (d_head floats), or, if `partials` is set, its first partial result; the next
  // split's is partial_stride floats on.
  float* out[kAttendQueries];
  bool partials;
  bool resumes[kAttendQueries];  // the first partial result is there, and is continued
  size_t partial_stride;
  float scale;
  float* scratch;  // attend_scratch_floats(d_head), 64-byte aligned
};
inline constexpr size_t attend_scratch_floats(size_t d_head) {
  return kAttendQueries * (3 * (d_head + 16) + kBlockPositions) + 2 * kBlockPositions * (d_head + 16) + 16;
}

struct ReduceTask {
  const float* partials;  // first partial result
  size_t stride;          // floats to the next split's
  size_t n_partials;
  size_t first_split;
  size_t d_head;
  float* out;
  float* scratch;  // attend_scratch_floats(d_head)
};

struct KernelTable {
  Tier tier;
  /// Rows of activations that linears take at once: as many as this many bytes hold, a part of a core's
  /// second-level cache; more where a panel takes longer to decode.
  size_t row_block_bytes;
  size_t tile_rows;  // of activations
  bool keeps_segments;
  /// Row `row` of a tile of `width`, group by group as quantise_group(). k is a multiple of group, group one
  /// of 32.
  void (*quantise_row)(const float* x, size_t k, size_t group, const QuantisedTiles& tile, size_t width,
                       size_t row);
  void (*linear_quantised)(const LinearTask&);
  void (*linear_float)(const LinearTask&);
  /// A quantised panel as floats [k][16].
  void (*decode_panel)(DType type, const std::byte* panel, size_t k, float* out);
  void (*rms_norm_row)(const float* x, const float* gain, float eps, float* y, size_t n);
  void (*silu_row)(const float* gate, const float* up, float* y, size_t n);
  void (*gelu_tanh_row)(const float* gate, const float* up, float* y, size_t n);
  void (*add_row)(float* x, const float* y, size_t n);
  /// One head in place; `angles` holds n cosines, then n sines.
  void (*rope_halves)(const float* angles, size_t n, float* x);
  void (*rope_interleaved)(const float* angles, size_t n, float* x);
  void (*store_floats)(DType type, const float* x, size_t n, std::byte* out, size_t out_step);
  void (*attend)(const AttendTask&);
  void (*reduce)(const ReduceTask&);
  /// The largest that is not NaN, or -infinity.
  float (*max_row)(const float* x, size_t n);
  /// sum(exp(x[i] - largest)), blocks of 1024 added in double.
  double (*sum_exp_row)(const float* x, size_t n, float largest);
  /// As Backend::top_k, of one row: ids and values have room for k.
  void (*top_k_row)(const float* x, size_t n, size_t k, int32_t* ids, float* values);
  // For measuring the machine (ceilings.h). The results mean nothing: they are there so that the work is
  // done. `start`: 16 small numbers, which no compiler knows.
  int32_t (*peak_int8)(const int8_t* start, size_t rounds);
  size_t peak_int8_ops;  // additions and multiplications of a round
  float (*peak_f32)(const float* start, size_t rounds);
  size_t peak_f32_ops;
  /// Reads n floats, a multiple of 64.
  float (*read_floats)(const float* x, size_t n);
};

/// Null where the tier is not built.
const KernelTable* kernel_table(Tier tier);
const KernelTable& portable_kernels();
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& amx_kernels();

}  // namespace headrace::cpu
