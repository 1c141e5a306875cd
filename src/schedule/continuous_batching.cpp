#include <algorithm>
#include <limits>

#include "schedule/admission.h"

namespace headrace {
namespace {

// What is left of a step while it is planned. Counts of pages are per layer group; all groups take a page at
// the same positions.
class Room {
 public:
  explicit Room(const Snapshot& now) : now_(now), rows_(now.max_rows) {
    for (uint32_t g = 0; g < now.n_groups; ++g) {
      pages_[g] = int64_t{now.available[g]} - int64_t{now.overdrawn[g]};
    }
  }

  uint32_t rows() const { return rows_; }
  bool holds(const PageCounts& pages) const {
    for (uint32_t g = 0; g < now_.n_groups; ++g) {
      if (pages[g] > pages_[g]) return false;
    }
    return true;
  }
  /// Tokens that a sequence can compute from `computed` on, at most `wanted`.
  uint32_t tokens_from(uint32_t computed, uint32_t wanted) const {
    int64_t pages = std::numeric_limits<uint32_t>::max();
    for (uint32_t g = 0; g < now_.n_groups; ++g) pages = std::min(pages, pages_[g]);
    pages = std::max<int64_t>(pages, 0);
    const uint32_t in_page = (now_.page_tokens - computed % now_.page_tokens) % now_.page_tokens;
    const uint64_t by_pages = in_page + static_cast<uint64_t>(pages) * now_.page_tokens;
    const uint32_t chunk = now_.max_chunk == 0 ? wanted : std::min(wanted, now_.max_chunk);
    return static_cast<uint32_t>(std::min<uint64_t>({chunk, rows_, by_pages}));
  }
  void take(uint32_t computed, uint32_t count) {
    const uint32_t pages = new_pages(computed, count, now_.page_tokens);
    for (uint32_t g = 0; g < now_.n_groups; ++g) pages_[g] -= pages;
    rows_ -= count;
  }
  void give_back(uint32_t computed, uint32_t count) {
    const uint32_t pages = new_pages(computed, count, now_.page_tokens);
    for (uint32_t g = 0; g < now_.n_groups; ++g) pages_[g] += pages;
    rows_ += count;
  }
  void add(const PageCounts& pages) {
    for (uint32_t g = 0; g < now_.n_groups; ++g) pages_[g] += pages[g];
  }
  void remove(const PageCounts& pages) {
    for (uint32_t g = 0; g < now_.n_groups; ++g) pages_[g] -= pages[g];
  }

 private:
  const Snapshot& now_;
  uint32_t rows_;
  std::array<int64_t, kMaxLayerGroups> pages_ = {};
};

// Fills `order` with indices of `views`, first in line first.
template <typename View>
void put_in_line(std::span<const View> views, std::vector<uint32_t>& order) {
  order.resize(views.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](uint32_t i) { return views[i].place; });
}

class Planner {
 public:
  Planner(const Snapshot& now, StepPlan& plan)
      : now_(now),
        room_(now),
        line_(plan.notes.line),
        rows_of_(plan.notes.rows_of),
        notes_(plan.notes),
        plan_(plan) {}

  void plan() {
    plan_.preempt.clear();
    plan_.running.clear();
    plan_.admit.clear();
    put_in_line(now_.running, line_);
    rows_of_.assign(now_.running.size(), 0);
    decode();
    prefill();
    insist();
    admit();
    check_drafts();
    for (uint32_t i = 0; i < now_.running.size(); ++i) {
      if (rows_of_[i] > 0) plan_.running.push_back({i, rows_of_[i]});
    }
  }

 private:
  static uint32_t missing(const RunningView& r) { return r.known - r.computed; }

  void run(uint32_t i, uint32_t count) {
    rows_of_[i] = count;
    room_.take(now_.running[i].computed, count);
  }

  void preempt_last() {
    const uint32_t victim = line_.back();
    line_.pop_back();
    if (rows_of_[victim] > 0) room_.give_back(now_.running[victim].computed, rows_of_[victim]);
    rows_of_[victim] = 0;
    room_.add(now_.running[victim].released);
    plan_.preempt.push_back(victim);
  }

  // One row each for those that lack one token. Who finds no page takes those of the last in line.
  void decode() {
    for (size_t at = 0; at < line_.size(); ++at) {
      const RunningView& r = now_.running[line_[at]];
      if (missing(r) != 1 || room_.rows() == 0) continue;
      while (room_.tokens_from(r.computed, 1) == 0 && line_.size() > at + 1) preempt_last();
      if (room_.tokens_from(r.computed, 1) > 0) run(line_[at], 1);
    }
  }

  void prefill() {
    for (const uint32_t i : line_) {
      const RunningView& r = now_.running[i];
      if (missing(r) <= 1) continue;
      const uint32_t count = room_.tokens_from(r.computed, missing(r));
      if (count > 0) run(i, count);
    }
  }

  // If nobody could go on, the first in line takes the pages of the others. Pages that it shares with them
  // are not among those counted as released; then the next step sees what there is.
  void insist() {
    const bool any = std::ranges::any_of(rows_of_, [](uint32_t rows) { return rows > 0; });
    if (any || now_.max_rows == 0) return;
    const auto first = std::ranges::find_if(line_, [&](uint32_t i) { return missing(now_.running[i]) > 0; });
    if (first == line_.end()) return;
    const uint32_t i = *first;
    const RunningView& r = now_.running[i];
    while (room_.tokens_from(r.computed, missing(r)) == 0 && line_.back() != i) preempt_last();
    const uint32_t count = room_.tokens_from(r.computed, missing(r));
    if (count > 0) run(i, count);
  }

  // Who preempts may have shared pages with the victims.
  static PageCounts taken(const WaitingView& w, bool by_preemption) {
    PageCounts pages = w.taken;
    for (size_t g = 0; by_preemption && g < pages.size(); ++g) pages[g] += w.shared[g];
    return pages;
  }

  // What a waiting sequence needs to run to the end of what is known of it, so that it is not preempted at
  // once.
  PageCounts needed(const WaitingView& w, bool alone, bool by_preemption) const {
    PageCounts pages = taken(w, by_preemption);
    const uint32_t count = alone ? 1 : w.known - w.cached;
    for (uint32_t g = 0; g < now_.n_groups; ++g) {
      const uint32_t all = new_pages(w.cached, count, now_.page_tokens);
      pages[g] += std::min(all, now_.largest[g]) + (alone ? 0 : 1);
    }
    return pages;
  }

  // Makes room for `w` at the cost of sequences of lower priority, if that suffices.
  bool make_room(const WaitingView& w) {
    const size_t running = line_.size() + plan_.admit.size();
    const auto fits = [&](const Room& room, size_t others) {
      return others < now_.max_sequences && room.holds(needed(w, others == 0, others < running));
    };
    if (fits(room_, running)) return true;
    if (!plan_.admit.empty()) return false;  // they may share pages with a victim
    Room room = room_;
    size_t victims = 0;
    while (victims < line_.size()) {
      const RunningView& last = now_.running[line_[line_.size() - 1 - victims]];
      if (last.priority >= w.priority || last.place < w.place) break;
      const uint32_t rows = rows_of_[line_[line_.size() - 1 - victims]];
      if (rows > 0) room.give_back(last.computed, rows);
      room.add(last.released);
      ++victims;
      if (!fits(room, running - victims)) continue;
      for (; victims > 0; --victims) preempt_last();
      return true;
    }
    return false;
  }

  // In line, until somebody does not fit. While running sequences give up pages nobody new gets any, and
  // whoever took another's place is the last of the step: otherwise they would overtake those that made room.
  void admit() {
    if (!plan_.preempt.empty()) return;
    std::vector<uint64_t>& pages_begun = notes_.pages_begun;
    pages_begun.clear();
    put_in_line(now_.waiting, notes_.waiting_line);
    for (const uint32_t i : notes_.waiting_line) {
      const WaitingView& w = now_.waiting[i];
      if (w.parked) continue;
      if (w.next_page != 0 && std::ranges::find(pages_begun, w.next_page) != pages_begun.end()) continue;
      if (room_.rows() == 0 || !make_room(w)) return;
      room_.remove(taken(w, !plan_.preempt.empty()));
      const uint32_t count = room_.tokens_from(w.cached, w.known - w.cached);
      if (count == 0) return;
      room_.take(w.cached, count);
      plan_.admit.push_back({i, count});
      if (w.next_page != 0) pages_begun.push_back(w.next_page);
      if (!plan_.preempt.empty()) return;
    }
  }

  // What nobody else takes. Pages that they would need are free, or the cache's.
  void check_drafts() {
    for (const uint32_t i : line_) {
      const RunningView& r = now_.running[i];
      if (rows_of_[i] != 1 || missing(r) != 1 || r.drafted == 0) continue;
      const uint32_t chunk = now_.max_chunk == 0 ? r.drafted : std::min(r.drafted, now_.max_chunk - 1);
      const uint32_t count = room_.tokens_from(r.computed + 1, chunk);
      room_.take(r.computed + 1, count);
      rows_of_[i] += count;
    }
  }

  const Snapshot& now_;
  Room room_;
  std::vector<uint32_t>& line_;     // of running that were not preempted, first in line first
  std::vector<uint32_t>& rows_of_;  // of running
  StepPlan::Notes& notes_;
  StepPlan& plan_;
};

}  // namespace

uint32_t new_pages(uint32_t computed, uint32_t count, uint32_t page_tokens) {
  const auto pages = [&](uint64_t tokens) { return (tokens + page_tokens - 1) / page_tokens; };
  return static_cast<uint32_t>(pages(uint64_t{computed} + count) - pages(computed));
}

void StepPlan::reserve(size_t running_sequences, size_t waiting_sequences) {
  preempt.reserve(running_sequences);
  running.reserve(running_sequences);
  admit.reserve(waiting_sequences);
  notes.line.reserve(running_sequences);
  notes.waiting_line.reserve(waiting_sequences);
  notes.rows_of.reserve(running_sequences);
  notes.pages_begun.reserve(waiting_sequences);
}

void ContinuousBatching::plan(const Snapshot& now, StepPlan& plan) const {
  Planner(now, plan).plan();
}

}  // namespace headrace
