// The arrays of one layer group's step, built on the host and uploaded once: where each row is written, and
// the plan by which attention reads the pages. All layers of the group use them.
#pragma once

#include <span>
#include <vector>

#include "cache/page_pool.h"
#include "ops/step.h"

namespace headrace {

class PlanBuilder {
 public:
  /// Room for steps of `max_rows` rows and `max_runs` pages read.
  static Result<PlanBuilder> create(Backend& backend, MemoryLedger& ledger, uint32_t page_tokens,
                                    uint32_t max_rows, uint64_t max_runs);

  void clear();
  /// Rows of one sequence, in order of position, the first being row `first_row` of the step. `pages` is the
  /// sequence's table, `window` what a row sees (0: all).
  void add(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row, uint32_t window);
  /// Rows of a draft tree, the first being row `first_row` of the step: bit b of Row::ancestors is slot
  /// `base` + b, and the tokens of a path take the positions from `base` on, in order. Rows on one path share
  /// an item.
  void add_tree(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row, uint32_t window,
                uint32_t base);
  /// Uploads what was added and points `step` at it.
  void finish(Backend& backend, GroupStep& step);

 private:
  void add_page_runs(std::span<const PageId> pages, uint32_t begin, uint32_t end);
  void add_path_runs(std::span<const PageId> pages, uint64_t path, uint32_t base);

  uint32_t page_tokens_ = 0;
  DeviceBuffer buffer_;
  std::vector<KvSlot> slots_;
  std::vector<KvRun> runs_;
  std::vector<AttentionItem> items_;
  std::vector<AttentionItemRow> item_rows_;
};

}  // namespace headrace
