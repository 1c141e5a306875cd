// Keys and values in pages, and the plan by which attention reads them. Plain data: cache/ builds it, models
// pass it on, attend() executes it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/rope_table.h"
#include "tensor/dtype.h"

namespace headrace {

/// Attention computes in blocks of 64 positions, splits of 512 and spans of 4096, all at absolute multiples
/// (docs/numerics.md, "Attention"). Never by page slot: a path through a tree computes what the chain
/// computes.
inline constexpr uint32_t kBlockPositions = 64;
inline constexpr uint32_t kSplitPositions = 512;
inline constexpr uint32_t kSpanPositions = 4096;
/// Items run in so many waves at most: what continues a partial result waits for those that began it.
inline constexpr uint32_t kAttentionWaves = 4;

/// One layer's keys and values inside the pages of its layer group.
///   keys    [n_kv_heads][d_head][page_tokens]
///   values  [n_kv_heads][page_tokens][d_head]
/// each in its type (F32, F16 or BF16). page_tokens is a multiple of 16.
struct KvView {
  std::byte* pages = nullptr;  // device memory; page p begins at pages + p * page_bytes
  size_t page_bytes = 0;
  size_t key_offset = 0;    // of this layer's keys inside a page
  size_t value_offset = 0;  // of its values
  DType key_type = DType::F32;
  DType value_type = DType::F32;
  uint32_t n_kv_heads = 0;
  uint32_t d_head = 0;
  uint32_t page_tokens = 0;
  RopeTable rope;  // how keys turn: the codec decides whether before they are stored or when they are read
};

/// Where a row's key and value are written.
struct KvSlot {
  uint32_t page = 0;
  uint32_t slot = 0;
};

/// `count` consecutive slots of a page that hold consecutive positions. A chain is a list of page-long runs,
/// a path through a draft tree ends in runs of one.
struct KvRun {
  uint32_t page = 0;
  uint32_t slot = 0;
  uint32_t count = 0;
  uint32_t position = 0;  // of the first slot
};

/// A row that takes part in an item: it sees the item's keys at positions [begin, end).
struct AttentionItemRow {
  uint32_t row = 0;  // of the batch
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t first_partial = 0;  // of its partial results, one a split; meaningless if the item is whole
  /// The first partial result is there, of the keys before `begin` in the same split, and is continued.
  /// `begin` is a multiple of kBlockPositions then.
  bool resumes = false;
};
/// Rows (of one sequence or many) that share keys. The keys are one path: positions ascend strictly.
struct AttentionItem {
  uint32_t first_run = 0;
  uint32_t n_runs = 0;
  uint32_t first_row = 0;  // in item_rows
  uint32_t n_rows = 0;
  /// The item holds all keys that its rows see, so the results go straight to the output. Otherwise one
  /// partial result a split and row is written, in order; a later wave may continue the last.
  bool whole = true;
};

/// Folds the partial results [first, first + count) of a row, ascending by split; `first_split` is the
/// absolute number of the first, so that spans are cut at absolute multiples.
struct AttentionReduce {
  uint32_t row = 0;
  uint32_t first_partial = 0;
  uint32_t n_partials = 0;
  uint32_t first_split = 0;
};

/// Built once a step per layer group, used by all its layers. All pointers are device memory.
struct AttentionPlan {
  const KvRun* runs = nullptr;
  const AttentionItem* items = nullptr;
  uint32_t n_items = 0;
  std::array<uint32_t, kAttentionWaves - 1> wave_ends =
      {};  // items of a wave end here; 0: there is no such wave
  const AttentionItemRow* item_rows = nullptr;
  const AttentionReduce* reduces = nullptr;
  uint32_t n_reduces = 0;
  float* partials = nullptr;  // [n_partials][heads][d_head + 2], written and read within attend()
  uint32_t n_partials = 0;
};

}  // namespace headrace
