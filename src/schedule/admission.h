// Which rows the next step runs, who is admitted and who is preempted: pure functions from a snapshot to a
// plan. No device, no clock, no lock.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/page_counts.h"

namespace headrace {

inline constexpr int32_t kMaxPriority = 1000;
/// One unit of priority is worth so many steps of earlier arrival: a request overtakes those of lower
/// priority that came up to that much before it, and nobody for ever.
inline constexpr int64_t kStepsPerPriority = 64;

/// Everyone's place in line, smaller first; ties by id.
struct Place {
  int64_t turn = 0;  // step of arrival - priority * kStepsPerPriority
  uint64_t id = 0;   // in order of arrival

  friend auto operator<=>(const Place&, const Place&) = default;
};

/// A running sequence: `known` tokens are there, of which `computed` are in the cache.
struct RunningView {
  Place place;
  int32_t priority = 0;
  uint32_t known = 0;
  uint32_t computed = 0;
  uint32_t drafted = 0;      // tokens that may follow, to be checked if there is room; only if one is missing
  PageCounts released = {};  // pages that become available if it is preempted
};

/// A waiting sequence.
struct WaitingView {
  Place place;
  int32_t priority = 0;
  uint32_t known = 0;
  uint32_t cached = 0;    // tokens that the cache has, at most known - 1
  PageCounts taken = {};  // available pages that it takes by being admitted: cached ones, and a copy
  PageCounts shared =
      {};  // cached pages that running sequences hold now; taken too, should they be preempted
  /// What it would compute first is being computed by a running sequence: it pays to wait.
  bool parked = false;
  /// Identifies the page of tokens that it would compute first; 0: less than a page. Of several with the same
  /// one, the first computes it and the others wait.
  uint64_t next_page = 0;
};

struct Snapshot {
  std::span<const RunningView> running;  // in any order
  std::span<const WaitingView> waiting;
  PageCounts available = {};  // pages free or held by the prefix cache alone
  PageCounts overdrawn = {};  // pages in use beyond a limit that was lowered: they go first
  PageCounts largest = {};    // pages that one sequence holds at most
  uint32_t n_groups = 1;      // entries of the page counts that mean something
  uint32_t page_tokens = 64;
  uint32_t max_rows = 0;       // of the step
  uint32_t max_chunk = 0;      // rows of one sequence; 0: any number
  uint32_t max_sequences = 0;  // running at once
};

/// `count` tokens of a sequence (index in the snapshot's list), beginning at its `computed` or `cached`.
/// Those beyond the known ones are of its draft.
struct StepChunk {
  uint32_t index = 0;
  uint32_t count = 0;
};

struct StepPlan {
  std::vector<uint32_t> preempt;  // of running: their pages go back, they wait again
  std::vector<StepChunk> running;
  std::vector<StepChunk> admit;  // of waiting, in order of admission; at least one token each

  /// What a policy writes down while it plans. It means nothing afterwards; it is here so that a plan that is
  /// filled again takes no memory.
  struct Notes {
    std::vector<uint32_t> line;          // of running
    std::vector<uint32_t> waiting_line;  // of waiting
    std::vector<uint32_t> rows_of;       // of running
    std::vector<uint64_t> pages_begun;
  };
  Notes notes;

  /// Takes the memory that plans for so many sequences need.
  void reserve(size_t running_sequences, size_t waiting_sequences);
};

/// Must be a pure function of the snapshot. For every snapshot: rows, sequences and pages stay within what
/// there is; drafts take nothing that anybody else could use in this step; a sequence that is preempted gets
/// no rows; if something runs or waits unparked and pages suffice for one sequence, then a row runs or
/// somebody is preempted.
class AdmissionPolicy {
 public:
  virtual ~AdmissionPolicy() = default;
  virtual std::string_view name() const = 0;
  /// `plan` is overwritten.
  virtual void plan(const Snapshot& now, StepPlan& plan) const = 0;
  StepPlan plan(const Snapshot& now) const {
    StepPlan made;
    plan(now, made);
    return made;
  }
};

/// Continuous batching: decode rows first, so that a long prompt never stalls an answer; what is left of the
/// rows goes to prompts in line (chunked prefill), then to new ones, then to drafts. Nobody overtakes the
/// first in line that does not fit. If pages run out, the last in line is preempted; a waiting sequence takes
/// the place only of one of lower priority.
class ContinuousBatching final : public AdmissionPolicy {
 public:
  std::string_view name() const override { return "continuous"; }
  using AdmissionPolicy::plan;
  void plan(const Snapshot& now, StepPlan& plan) const override;
};

/// Pages that a sequence needs to go from `computed` to `computed + count` tokens.
uint32_t new_pages(uint32_t computed, uint32_t count, uint32_t page_tokens);

}  // namespace headrace
