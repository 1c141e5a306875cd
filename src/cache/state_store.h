// What sequences have computed so far, in pages: keys and values of attention layers, states of recurrent
// ones. Sequences with equal prefixes share pages; the engine speaks to this and never to pages.
//
// Every kind of state is reusable at any token: a page of keys and values holds nothing but its own tokens, a
// page of a recurrent group the state at its first position and the inputs since. So chunks, roll-back, fork,
// preemption and the prefix cache are the same for all, and give the same bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/forest.h"
#include "cache/group_pages.h"
#include "cache/plan_builder.h"
#include "models/model.h"
#include "ops/step.h"

namespace headrace {

struct StateStoreOptions {
  PageFormat format;
  uint32_t sequences = 1;  // at once
  uint32_t context = 0;    // tokens a sequence
  uint64_t tokens = 0;     // of all sequences and cached prefixes together; 0: sequences * context
  uint32_t max_rows = 0;   // of a step
  uint32_t branches = 1;   // leaves of a sequence's draft tree at most
  bool share_keys = true;  // rows that see the same pages read them once
};

using SequenceId = uint32_t;

/// What opening a sequence would bring and cost.
struct Prospect {
  uint32_t cached = 0;
  ReuseLimit limit = ReuseLimit::different;
  PageCounts taken = {};   // pages that would no longer be available
  PageCounts shared = {};  // pages that other sequences hold already
};

/// Not thread-safe.
class StateStore {
 public:
  /// Bytes that create() will take for pages, and for the results of rows that read some of them together.
  static uint64_t bytes(std::span<const LayerGroup> groups, const StateStoreOptions& options);

  /// Memory for pages in every group, or out_of_budget with the numbers. `backend` must outlive the store.
  static Result<StateStore> create(Backend& backend, MemoryLedger& ledger, std::span<const LayerGroup> groups,
                                   const StateStoreOptions& options);

  /// Sequences that may be open at once.
  uint32_t max_sequences() const { return options_.sequences; }
  /// How much of `tokens` is cached.
  Prospect prospect(uint64_t salt, std::span<const int32_t> tokens);
  /// A new sequence that begins with what is cached of `tokens`; at most options.sequences are open.
  SequenceId open(uint64_t salt, std::span<const int32_t> tokens, Reuse* reuse = nullptr);
  /// A copy of a sequence at its committed length, which shares its pages; nothing if there is no page for
  /// the last one.
  std::optional<SequenceId> fork(SequenceId sequence);
  /// Lets go of its pages; the cache keeps them until others need them.
  void close(SequenceId sequence);

  /// Tokens that are committed.
  uint32_t length(SequenceId sequence) const { return sequences_[sequence].length; }

  /// Takes pages so that the sequence can hold `tokens` in all; false (and nothing taken) if there are too
  /// few.
  bool reserve(SequenceId sequence, uint32_t tokens);

  /// Gives back pages beyond the committed length, which drafts that were not right have left.
  void trim(SequenceId sequence);

  /// Builds the plan of a step: rows of one sequence stand together, in order of position, beginning at its
  /// committed length or after rows that were stored since the last commit; room for them has been reserved.
  /// Rows with ancestors (a draft tree, up to 63 of them) come last: bit b is slot `committed length` + b,
  /// and they stand at the position that their number of ancestors says. Returns one GroupStep a layer group,
  /// whose pointers stay valid until the next call.
  std::span<const GroupStep> plan(std::span<const Row> rows);

  /// Puts the rows at `slots`, ascending, behind one another at the slots that follow the committed length by
  /// one: the path of a draft tree that turned out right becomes a chain, to be committed.
  void straighten(SequenceId sequence, std::span<const uint32_t> slots);

  /// What the first rows stored since the last commit were of: they become part of the sequence. What else
  /// was stored is overwritten by the next step. Pages that left a window are given back.
  void commit(SequenceId sequence, std::span<const int32_t> tokens);

  /// Back to the first `length` tokens; false (and nothing changed) if a window no longer has the pages, or
  /// there is none for a copy of the last.
  bool truncate(SequenceId sequence, uint32_t length);

  // --- for the scheduler --------------------------------------------------------------------------------
  size_t n_groups() const { return specs_.size(); }
  PageCounts available() const;
  PageCounts overdrawn() const;
  /// Pages that one sequence holds at most.
  PageCounts largest() const { return largest_; }
  /// Pages that would become available if the sequence were closed.
  PageCounts released(SequenceId sequence) const;

  // --- housekeeping -------------------------------------------------------------------------------------
  /// Only the pages of so many tokens may be used, but at least those of one context; 0: all.
  void set_limit(uint64_t tokens);
  /// Whether rows that see the same pages read them once; not without StateStoreOptions::share_keys.
  void set_sharing(bool on) { sharing_ = on; }
  /// Forgets what no sequence uses.
  void clear_cache() { forest_.clear(); }
  uint64_t page_copies() const { return page_copies_; }
  uint64_t evicted_pages() const { return forest_.evicted_pages(); }
  uint64_t retired_pages() const { return retired_pages_; }
  /// Keys that rows did not read for themselves, since others read them in the same step; of all layer
  /// groups.
  uint64_t saved_keys() const;
  const Forest& forest() const { return forest_; }
  /// Checks every page, node and sequence against each other; an error names what doesn't add up.
  /// `open` sequences are expected.
  Status audit(size_t open) const;

 private:
  struct Sequence {
    bool is_open = false;
    uint64_t salt = 0;
    uint32_t length = 0;
    std::vector<NodeId> path;                // a node for each page
    std::vector<std::vector<PageId>> pages;  // by group: the pages of the path, kNoPage where retired
    std::vector<uint32_t> first_pinned;      // by group: pages before this one are no longer held
  };

  StateStore(Forest forest) : forest_(std::move(forest)) {}
  void make_room_on_host();
  void begin(Sequence& s, uint64_t salt) const;
  SequenceId new_sequence(uint64_t salt);
  void adopt(Sequence& s, std::span<const NodeId> path, uint32_t length);
  bool copy_tail(Sequence& s, NodeId source, uint32_t tokens);
  void share();
  uint32_t common_tokens(SequenceId a, SequenceId b) const;
  void push_node(Sequence& s, NodeId node);
  void pop_node(Sequence& s);
  void release(Sequence& s);
  void retire(Sequence& s);
  Status audit_sequence(const Sequence& s) const;

  Backend* backend_ = nullptr;
  StateStoreOptions options_;
  std::vector<LayerGroup> specs_;
  Forest forest_;
  PageCounts largest_ = {};
  std::vector<size_t> page_bytes_;
  std::vector<GroupStep> steps_;
  std::vector<PlanBuilder> builders_;
  DeviceBuffer moves_;           // of straighten(): from, then to
  std::vector<KvSlot> move_to_;  // on their way there
  std::vector<KvSlot> move_from_;
  std::vector<SequenceId> step_sequences_;  // of plan(), in order of their rows
  std::vector<OrderedText> texts_;
  std::vector<Sequence> sequences_;  // options.sequences
  std::vector<SequenceId> free_sequences_;
  // Memory that is used again.
  Sequence shorter_;                                   // of truncate()
  PrefixMatch match_;                                  // of prospect() and open()
  mutable std::vector<std::vector<uint32_t>> owners_;  // of audit(): by group and page
  bool sharing_ = true;
  uint64_t page_copies_ = 0;
  uint64_t retired_pages_ = 0;
};

}  // namespace headrace
