// Keys and values of all sequences, in pages, and the plan by which a step's rows read them.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "cache/page_pool.h"
#include "models/model.h"
#include "ops/step.h"

namespace headrace {

struct KvCacheOptions {
  DType key_type = DType::F16;
  DType value_type = DType::F16;
  uint32_t page_tokens = 64;  // a multiple of 16
  uint32_t sequences = 1;     // at once
  uint32_t context = 0;       // tokens a sequence
  uint32_t max_rows = 0;      // of a step
};

using SequenceId = uint32_t;

/// Not thread-safe.
class KvCache {
 public:
  /// Bytes of pages that create() will take.
  static uint64_t bytes(std::span<const LayerGroup> groups, const KvCacheOptions& options);
  /// Bytes that one token takes in all groups.
  static uint64_t bytes_per_token(std::span<const LayerGroup> groups, const KvCacheOptions& options);

  /// Memory for sequences * context tokens in every group, or out_of_budget with the numbers.
  static Result<KvCache> create(Backend& backend, MemoryLedger& ledger, std::span<const LayerGroup> groups,
                                const KvCacheOptions& options);

  /// A new, empty sequence; at most options.sequences are open.
  SequenceId open();
  /// Gives back its pages.
  void close(SequenceId sequence);

  /// Tokens whose keys and values are committed.
  uint32_t length(SequenceId sequence) const;

  /// Takes pages so that the sequence can hold `tokens` in all; false (and nothing taken) if there are too
  /// few.
  bool reserve(SequenceId sequence, uint32_t tokens);

  /// Builds the plan of a step: rows of one sequence stand together, in order of position, beginning at its
  /// committed length; room for them has been reserved. Returns one GroupStep a layer group, whose pointers
  /// stay valid until the next call.
  std::span<const GroupStep> plan(std::span<const Row> rows);

  /// Makes the first `count` tokens stored since the last commit part of the sequence; what else was stored
  /// is overwritten by the next step.
  void commit(SequenceId sequence, uint32_t count);

  const PagePool& pool(size_t group) const { return groups_[group].pool; }

 private:
  struct Group {
    LayerGroup spec;
    PagePool pool;
    GroupStep step;
    DeviceBuffer buffer;  // the plan's arrays on the device
    // The same arrays while they are built.
    std::vector<KvSlot> slots;
    std::vector<KvRun> runs;
    std::vector<AttentionItem> items;
    std::vector<AttentionItemRow> item_rows;
  };
  struct Sequence {
    uint32_t length = 0;
    std::vector<std::vector<PageId>> pages;  // by group
  };

  void add_item(Group& group, const Sequence& sequence, size_t group_index, std::span<const Row> rows,
                uint32_t first_row);
  void upload(Group& group, size_t n_rows);

  Backend* backend_ = nullptr;
  KvCacheOptions options_;
  std::vector<Group> groups_;
  std::vector<GroupStep> steps_;
  std::unordered_map<SequenceId, Sequence> sequences_;
  SequenceId next_id_ = 0;
};

}  // namespace headrace
