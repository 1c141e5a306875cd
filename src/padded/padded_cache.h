// Keys and values of a rectangular batch: all sequences have the same number of columns, shorter ones are
// padded on the left. After each round of speculation the rectangle is made anew (papers: batch speculative
// decoding, 2.3, 2.6): there are two of them, and rows move from one to the other.
#pragma once

#include <span>
#include <vector>

#include "cache/group_pages.h"
#include "core/memory_ledger.h"
#include "models/model.h"
#include "ops/ops.h"

namespace headrace {

class PaddedCache {
 public:
  /// Room for `sequences` of `columns` each, and steps of `max_rows` rows. Fails with unsupported for
  /// recurrent layers, or with out_of_budget. `backend` must outlive it.
  static Result<PaddedCache> create(Backend& backend, MemoryLedger& ledger,
                                    std::span<const LayerGroup> groups, const PageFormat& format,
                                    uint32_t sequences, uint32_t columns, uint32_t max_rows);

  /// A step over columns [first, first + count) of sequences 0 to pads.size() - 1, one sequence's rows after
  /// the other's; sequence i begins at column pads[i]. Columns before that see themselves alone.
  std::span<const GroupStep> plan(std::span<const uint32_t> pads, uint32_t first, uint32_t count);

  /// The rectangle has `columns` from now on: the first `rows[i]` rows of each sequence move from column
  /// from[i] on to column to[i] on of the other rectangle, which was zero and is the one from now on.
  void realign(std::span<const uint32_t> from, std::span<const uint32_t> to, std::span<const uint32_t> rows,
               uint32_t columns);

 private:
  uint32_t page_of(size_t half, size_t sequence, uint32_t column) const {
    return static_cast<uint32_t>((half * sequences_ + sequence) * pages_ + column / format_.page_tokens);
  }
  void plan_sequence(size_t sequence, uint32_t pad, uint32_t first, uint32_t count, uint32_t window);
  void clear_half(size_t half, uint32_t columns);

  Backend* backend_ = nullptr;
  std::vector<LayerGroup> specs_;
  PageFormat format_;
  uint32_t sequences_ = 0;
  uint32_t pages_ = 0;                 // of a sequence
  size_t half_ = 0;                    // that holds the rectangle
  std::vector<DeviceBuffer> buffers_;  // by group: two rectangles, and a page of zeros
  std::vector<DeviceBuffer> plans_;
  std::vector<GroupStep> steps_;
  DeviceBuffer moves_;  // from, then to
  std::vector<KvSlot> from_;
  std::vector<KvSlot> to_;
  // Of a plan.
  std::vector<KvSlot> slots_;
  std::vector<KvRun> runs_;
  std::vector<AttentionItem> items_;
  std::vector<AttentionItemRow> item_rows_;
};

}  // namespace headrace
