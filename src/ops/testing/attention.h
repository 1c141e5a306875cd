// Building caches and plans for attention tests: the same keys in any number of layouts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/testing/device.h"
#include "ops/testing/random.h"

namespace headrace::ops_testing {

struct AttentionShape {
  uint32_t n_kv_heads = 1;
  uint32_t group = 1;  // query heads per key head
  uint32_t d_head = 64;
  DType key_type = DType::F32;
  DType value_type = DType::F32;

  uint32_t kv_width() const { return n_kv_heads * d_head; }
  uint32_t q_width() const { return n_kv_heads * group * d_head; }
  float scale() const;
};

/// Where the positions [first, first + n) lie. Runs ascend by position.
struct Layout {
  uint32_t page_tokens = 16;
  uint32_t pages = 0;
  std::vector<KvRun> runs;
};

/// Page-long runs in order.
Layout chain_layout(uint32_t first, uint32_t n, uint32_t page_tokens);
/// Runs of 1 to max_run positions at random places; with max_run 1 every slot is another's neighbour.
Layout scattered_layout(Random& random, uint32_t first, uint32_t n, uint32_t page_tokens, uint32_t max_run);

/// A cache that holds keys and values [n][kv_width], written by store_kv after a turn of zero degrees, and
/// NaN everywhere else.
KvView make_cache(Device& device, const AttentionShape& shape, const Layout& layout,
                  std::span<const float> keys, std::span<const float> values);

/// Row i of the batch sees positions [begin, end).
struct Visible {
  uint32_t begin = 0;
  uint32_t end = 0;
};

/// A plan in host memory.
struct Plan {
  std::vector<KvRun> runs;
  std::vector<AttentionItem> items;
  std::vector<AttentionItemRow> item_rows;
  std::vector<AttentionReduce> reduces;
  uint32_t n_partials = 0;
  std::array<uint32_t, kAttentionWaves - 1> wave_ends = {};

  /// `partials` is device memory for n_partials partial results of each head.
  AttentionPlan upload(Device& device, float* partials) const;
};

/// Items of up to `rows_per_item` rows that hold all runs.
Plan whole_plan(const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item);
/// The same rows, keys cut into items of 1 to max_splits splits of 512, with a reduce per row.
Plan split_plan(Random& random, const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item,
                uint32_t max_splits);

/// The same rows, keys cut at random multiples of 64 into waves that continue each other's partial results.
Plan waved_plan(Random& random, const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item);

/// Runs attend on queries [rows][q_width].
std::vector<float> attend(Device& device, const AttentionShape& shape, const KvView& cache, const Plan& plan,
                          std::span<const float> queries);

}  // namespace headrace::ops_testing
