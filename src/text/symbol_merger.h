// The loop that both kinds of byte-pair encoding share: join neighbours, best pair first, until none is left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "text/tokenizer_spec.h"

namespace headrace {

/// A stretch of text that has become one unit. `id` is -1 for one that has no token of its own.
struct Symbol {
  uint32_t begin;
  uint32_t size;  // in bytes; 0 once it has been joined to its left neighbour
  TokenId id;
  uint32_t previous;
  uint32_t next;
};

/// What a pair of neighbours becomes. The smallest rank goes first, the leftmost of equal ones.
struct Merge {
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  uint32_t rank = kNone;
  TokenId id = -1;
};

/// Takes O(n log n) for n symbols. Keeps its memory, so one object should serve many words; not for several
/// threads.
class SymbolMerger {
 public:
  /// Texts are limited by 32-bit positions.
  static constexpr size_t kMaxTextBytes = size_t{1} << 30;

  void clear() {
    symbols_.clear();
    queue_.clear();
  }

  void append(size_t begin, size_t size, TokenId id) {
    const auto at = static_cast<uint32_t>(symbols_.size());
    symbols_.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(size), id, at - 1, at + 1});
  }

  /// Joins until merge_of(left, right) -> Merge finds no pair any more.
  template <typename MergeOf>
  void run(MergeOf&& merge_of) {
    const auto n = static_cast<uint32_t>(symbols_.size());
    for (uint32_t i = 0; i + 1 < n; ++i) enqueue(i, merge_of);
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      const Candidate best = queue_.back();
      queue_.pop_back();
      const uint32_t at = best.at();
      Symbol& left = symbols_[at];
      if (left.size == 0 || left.next >= n) continue;
      Symbol& right = symbols_[left.next];
      if (left.size + right.size != best.size) continue;  // one of the two has been joined to another since
      left.id = best.id;
      left.size = best.size;
      right.size = 0;
      left.next = right.next;
      if (left.next < n) {
        symbols_[left.next].previous = at;
        enqueue(at, merge_of);
      }
      if (left.previous < n) enqueue(left.previous, merge_of);
    }
  }

  /// The symbols that are left, in the order of the text.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const Symbol& symbol : symbols_) {
      if (symbol.size > 0) visit(symbol);
    }
  }

 private:
  struct Candidate {
    uint64_t order;  // rank, then position
    TokenId id;
    uint32_t size;

    uint32_t at() const { return static_cast<uint32_t>(order); }
    bool operator<(const Candidate& other) const {
      return order > other.order;
    }  // smallest on top of the heap
  };

  template <typename MergeOf>
  void enqueue(uint32_t at, MergeOf& merge_of) {
    const Symbol& left = symbols_[at];
    const Symbol& right = symbols_[left.next];
    const Merge merge = merge_of(left, right);
    if (merge.rank == Merge::kNone) return;
    queue_.push_back({uint64_t{merge.rank} << 32 | at, merge.id, left.size + right.size});
    std::push_heap(queue_.begin(), queue_.end());
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;
};

}  // namespace headrace
