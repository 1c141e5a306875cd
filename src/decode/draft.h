// What may follow a text: a small tree of tokens that a drafter proposes and one step of the model checks.
#pragma once

#include <array>
#include <cstdint>

#include "core/result.h"

namespace headrace {

/// With the row of the text's last token they fill the 64 bits of Row::ancestors.
inline constexpr uint32_t kMaxDraftNodes = 63;
/// Leaves that an engine lets a draft have at most (SpeculationOptions::branches).
inline constexpr uint32_t kMaxDraftBranches = 8;

/// How sure a drafter is of a token, from 0. Classes mean nothing by themselves: how often tokens of each are
/// right is learnt (draft_length.h). The last class is of tokens that were drawn by a noise of their own
/// (rejection.h).
inline constexpr uint32_t kTrustClasses = 17;
inline constexpr uint8_t kDrawnTrust = kTrustClasses - 1;

/// Nodes stand in order of proposal, parents before their children. A chain is the tree whose node i follows
/// node i - 1. Takes no memory from the heap.
class Draft {
 public:
  /// Stands for the text itself: the parent of what follows it at once.
  static constexpr int32_t kText = -1;
  static constexpr int32_t kNone = -2;

  struct Node {
    int32_t token = 0;
    int32_t parent = kText;
    uint32_t depth = 1;  // 1: follows the text
    uint8_t trust = 0;   // below kTrustClasses
  };

  void clear() { size_ = 0; }
  bool empty() const { return size_ == 0; }
  uint32_t size() const { return size_; }
  const Node& node(uint32_t i) const { return nodes_[i]; }

  /// Returns the node's index. The parent stands there already; siblings differ in their tokens.
  int32_t add(int32_t token, int32_t parent, uint8_t trust) {
    HEADRACE_CHECK(size_ < kMaxDraftNodes && parent < static_cast<int32_t>(size_) && parent >= kText);
    const uint32_t depth = parent == kText ? 1 : nodes_[static_cast<size_t>(parent)].depth + 1;
    nodes_[size_] = {token, parent, depth, trust};
    return static_cast<int32_t>(size_++);
  }
  /// Only the first `size` nodes remain.
  void cut(uint32_t size) { size_ = size < size_ ? size : size_; }
  /// Only nodes whose bit is set remain, in their order; a node's parent is kept with it.
  void keep(uint64_t nodes) {
    std::array<int32_t, kMaxDraftNodes> moved = {};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      if ((nodes >> i & 1) == 0) continue;
      Node node = nodes_[i];
      if (node.parent != kText) node.parent = moved[static_cast<size_t>(node.parent)];
      moved[i] = static_cast<int32_t>(kept);
      nodes_[kept++] = node;
    }
    size_ = kept;
  }

  /// The node that says that `token` follows `parent`, or kNone.
  int32_t child(int32_t parent, int32_t token) const {
    for (uint32_t i = 0; i < size_; ++i) {
      if (nodes_[i].parent == parent && nodes_[i].token == token) return static_cast<int32_t>(i);
    }
    return kNone;
  }
  bool is_chain() const {
    for (uint32_t i = 0; i < size_; ++i) {
      if (nodes_[i].parent != static_cast<int32_t>(i) - 1) return false;
    }
    return true;
  }
  /// Nodes that nothing follows.
  uint32_t leaves() const {
    uint64_t inner = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      if (nodes_[i].parent != kText) inner |= uint64_t{1} << nodes_[i].parent;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < size_; ++i) count += (inner >> i & 1) == 0 ? 1 : 0;
    return count;
  }
  /// Row::ancestors of a node's row, if the row of the text's last token has bit 0 and node i bit i + 1.
  uint64_t ancestors(uint32_t i) const {
    uint64_t bits = 1;
    for (auto at = static_cast<int32_t>(i); at != kText; at = nodes_[static_cast<size_t>(at)].parent) {
      bits |= uint64_t{1} << (at + 1);
    }
    return bits;
  }

 private:
  uint32_t size_ = 0;
  std::array<Node, kMaxDraftNodes> nodes_;
};

}  // namespace headrace
