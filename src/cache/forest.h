// The forest of cached text: which tokens stand in which pages, who shares them, and what may be given up.
//
// A node is one page of positions: up to page_tokens tokens, with a page in each layer group. Its parent
// holds the tokens before; a path from a root is a sequence, and equal prefixes are one path (papers:
// Hydragen, section 4). A node is open while a sequence writes it and sealed after; only full nodes have
// children that other sequences may share, what a sealed leaf holds short of a page can be copied. A group
// with a window gives up pages that no running sequence sees; the node stays and is reusable up to the length
// that is valid in all groups.
//
// References of a page: one of the forest's own, and one of each sequence that still sees it (a pin). Pages
// with the forest's alone are what eviction takes, least recently used first.
//
// Steps of the engine take nothing from the heap: there are as many nodes as pages and their roots need, made
// at the start, and what a node is linked by waits for it. (Where every group has a window, paths may have
// more nodes than pages; more are made when that happens.)
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <list>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "cache/page_pool.h"
#include "cache/reuse.h"
#include "cache/spares.h"
#include "core/page_counts.h"

namespace headrace {

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = std::numeric_limits<NodeId>::max();

/// A page with the generation in which it was taken.
struct PageRef {
  PageId page = kNoPage;
  uint32_t generation = 0;
};

/// A child that no longer changes, among its siblings in the order of their tokens.
struct SealedChild {
  std::span<const int32_t> tokens;  // the node's own
  NodeId node = kNoNode;

  friend bool operator<(const SealedChild& a, const SealedChild& b) {
    return std::ranges::lexicographical_compare(a.tokens, b.tokens);
  }
};

struct ForestNode {
  NodeId parent = kNoNode;
  uint32_t number = 0;  // of its page in a sequence: it begins at position number * page_tokens
  bool open = false;
  bool root = false;
  uint64_t salt = 0;            // of a root
  std::vector<int32_t> tokens;  // whose keys and values are there
  std::array<PageRef, kMaxLayerGroups> pages;
  std::set<SealedChild> sealed;
  std::list<NodeId> writing;  // children that are open
  uint64_t last_used = 0;

  bool leaf() const { return sealed.empty() && writing.empty(); }
};

/// What of a text is cached.
struct PrefixMatch {
  std::vector<NodeId> path;  // full nodes, from the first page on
  NodeId partial = kNoNode;  // a node to copy `partial_tokens` from, or none
  uint32_t partial_tokens = 0;
  ReuseLimit limit = ReuseLimit::different;

  uint32_t tokens(uint32_t page_tokens) const {
    return static_cast<uint32_t>(path.size()) * page_tokens + partial_tokens;
  }
};

/// Not thread-safe. Touches no device memory.
class Forest {
 public:
  /// `windows`: by group, how many positions a row sees, its own included; 0: all.
  Forest(std::vector<PagePool> pools, std::vector<uint32_t> windows, uint32_t page_tokens);

  size_t n_groups() const { return pools_.size(); }
  uint32_t page_tokens() const { return page_tokens_; }
  PagePool& pool(size_t group) { return pools_[group]; }
  const PagePool& pool(size_t group) const { return pools_[group]; }
  const ForestNode& node(NodeId id) const { return nodes_[id]; }
  /// First position that the row at `position` sees in a group.
  uint32_t first_seen(size_t group, uint32_t position) const;

  /// The longest prefix of `tokens` that is valid in all groups; `found` is overwritten.
  void match(uint64_t salt, std::span<const int32_t> tokens, PrefixMatch& found) const;

  /// Appends an open node with a pinned page in every group, evicting what it needs; kNoNode (and nothing
  /// taken) if there are too few pages. `parent` kNoNode: below the root of `salt`.
  NodeId append(NodeId parent, uint64_t salt);
  /// Adds tokens to an open node; a full one is sealed. Returns the node that now stands for it: another one
  /// if the same text was there already. Pins of `group` from `pinned[group]` on move along.
  NodeId extend(NodeId node, std::span<const int32_t> tokens, std::span<const uint32_t> first_pinned);
  /// Nobody writes the node any more: it is sealed, or removed if it holds nothing that a sibling doesn't.
  /// Its pins must have been released.
  void close(NodeId node);

  void pin(NodeId node, size_t group);
  void unpin(NodeId node, size_t group);
  /// Marks nodes as just used.
  void touch(std::span<const NodeId> path);

  /// Pages that can be had: free ones and those that only the forest holds.
  uint32_t available(size_t group) const;
  /// Pinned pages beyond a limit that was lowered.
  uint32_t overdrawn(size_t group) const;
  /// Gives up everything that nobody pins.
  void clear();
  uint64_t evicted_pages() const { return evicted_; }

  /// All nodes, for the audit: calls visit(id).
  template <typename F>
  void for_each(F visit) const {
    for (NodeId id = 0; id < nodes_.size(); ++id) {
      if (live_[id]) visit(id);
    }
  }
  /// Whether the ordered set of evictable pages is what the nodes say.
  Status audit() const;

 private:
  using Candidate = std::tuple<uint64_t, uint32_t, NodeId>;  // last used, number of page, node
  using Root = std::pair<uint64_t, NodeId>;                  // salt, node

  void make_nodes(size_t count);
  NodeId new_node();
  NodeId find_root(uint64_t salt) const;
  NodeId root_of(uint64_t salt);
  void seal(NodeId id);
  void start_writing(NodeId parent, NodeId id);
  void stop_writing(NodeId parent, NodeId id);
  bool evictable(NodeId id, size_t group) const;
  void refresh(NodeId id);
  bool make_room(size_t group);
  void evict_one(size_t group);
  void drop_page(NodeId id, size_t group);
  void remove_leaf(NodeId id);
  bool keeps_all(size_t group) const { return windows_[group] == 0; }
  bool held(NodeId id) const;
  NodeId merge_into(NodeId twin, NodeId id, std::span<const uint32_t> first_pinned);
  uint32_t valid_length(std::span<const NodeId> path, NodeId partial, uint32_t length) const;

  std::vector<PagePool> pools_;
  std::vector<uint32_t> windows_;
  uint32_t page_tokens_;
  std::vector<ForestNode> nodes_;
  std::vector<bool> live_;
  std::vector<NodeId> free_nodes_;
  std::set<Root> roots_;
  std::vector<std::set<Candidate>> candidates_;  // by group
  std::vector<std::vector<bool>> is_candidate_;  // by group and node
  Spares<std::set<Root>> spare_roots_;
  Spares<std::set<SealedChild>> spare_sealed_;
  Spares<std::set<Candidate>> spare_candidates_;
  std::list<NodeId> spare_writing_;
  uint64_t clock_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace headrace
