// The arrays of one layer group's step, built on the host and uploaded once: where each row is written, and
// the plan by which attention reads the pages. All layers of the group use them.
//
// Where texts of a step share their beginning, its keys are read once for all of them (papers: Hydragen,
// sections 3 and 4): the texts, in an order in which equal beginnings are neighbours, are a forest, and what
// the texts below a node have in common is an item with rows of all of them. Items end at multiples of
// kBlockPositions; who reads on continues the partial result of the item before, so that no bit depends on
// who shares what.
#pragma once

#include <span>
#include <vector>

#include "cache/page_pool.h"
#include "ops/step.h"

namespace headrace {

/// What plans have room for.
struct PlanNeeds {
  uint32_t page_tokens = 0;
  uint32_t max_rows = 0;
  uint64_t max_runs = 0;  // pages read
  uint32_t n_heads = 0;   // of queries
  uint32_t d_head = 0;
  uint64_t n_partials = 0;  // partial results of rows that share keys; 0: nothing is shared
};

/// A text of a step, in an order in which texts with equal beginnings are neighbours.
struct OrderedText {
  uint32_t text = 0;    // in the order of adding
  uint32_t common = 0;  // tokens that stand in the same pages as those of the text before in this list
};

class PlanBuilder {
 public:
  static Result<PlanBuilder> create(Backend& backend, MemoryLedger& ledger, const PlanNeeds& needs);

  void clear();
  /// Rows that are added from now on are of another text.
  void begin_text() { ++n_texts_; }
  /// Rows of one sequence, in order of position, the first being row `first_row` of the step. `pages` is the
  /// sequence's table, `window` what a row sees (0: all).
  void add(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row, uint32_t window);
  /// Rows of a draft tree, the first being row `first_row` of the step: bit b of Row::ancestors is slot
  /// `base` + b, and the tokens of a path take the positions from `base` on, in order. Rows on one path share
  /// an item.
  void add_tree(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row, uint32_t window,
                uint32_t base);
  bool shares() const { return needs_.n_partials > 0; }
  /// All that were added, in order.
  void share(std::span<const OrderedText> texts);
  /// Uploads what was added and points `step` at it.
  void finish(Backend& backend, GroupStep& step);

  /// Keys that rows did not have to read for themselves, in all plans and counted once for each row.
  uint64_t saved_keys() const { return saved_keys_; }

 private:
  // Of an item that was added.
  struct Notes {
    uint32_t text = 0;
    uint32_t settled = 0;  // positions before this one have keys in whole runs of pages
    uint32_t from = 0;     // positions before this one are read by items that are shared
    bool in_parts = false;
    bool left_out = false;  // no room for its partial results
  };
  // An item that may share, and how many tokens it has in common with the one before.
  struct Member {
    uint32_t item = 0;
    uint32_t common = 0;
  };

  void add_page_runs(std::span<const PageId> pages, uint32_t begin, uint32_t end);
  void add_path_runs(std::span<const PageId> pages, uint64_t path, uint32_t base);
  void share_range(size_t first, size_t end, uint32_t from, uint32_t wave);
  bool share_keys(std::span<const Member> members, uint32_t from, uint32_t to, uint32_t wave);
  bool take_in_parts(uint32_t item);
  void leave_the_rest();
  uint32_t run_of(const AttentionItem& item, uint32_t position) const;

  PlanNeeds needs_;
  DeviceBuffer buffer_;
  DeviceBuffer partials_;
  uint32_t n_texts_ = 0;
  uint64_t n_partials_ = 0;
  uint64_t saved_keys_ = 0;
  std::vector<KvSlot> slots_;
  std::vector<KvRun> runs_;
  std::vector<AttentionItem> items_;
  std::vector<Notes> notes_;  // of items_
  std::vector<AttentionItemRow> item_rows_;
  std::vector<AttentionReduce> reduces_;
  std::vector<Member> members_;
  std::array<std::vector<AttentionItem>, kAttentionWaves - 1> shared_;  // by wave
  std::vector<AttentionItem> in_order_;
};

}  // namespace headrace
