// A million random snapshots: what AdmissionPolicy promises holds for each.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "schedule/admission.h"

namespace headrace {
namespace {

constexpr int kSnapshots = 1'000'000;

struct World {
  std::vector<RunningView> running;
  std::vector<WaitingView> waiting;
  Snapshot now;
};

class Maker {
 public:
  World make() {
    World w;
    w.now.n_groups = 1 + below(2);
    w.now.page_tokens = 16;
    w.now.max_rows = 1 + below(64);
    w.now.max_chunk = below(2) == 0 ? 0 : 1 + below(20);
    w.now.max_sequences = 1 + below(8);
    for (uint32_t g = 0; g < w.now.n_groups; ++g) {
      w.now.available[g] = below(12);
      w.now.overdrawn[g] = w.now.available[g] == 0 && below(4) == 0 ? below(4) : 0;
      w.now.largest[g] = 8;
    }
    uint64_t id = 1;
    for (uint32_t n = below(9); n > 0; --n) w.running.push_back(running(id++, w.now));
    for (uint32_t n = below(6); n > 0; --n) w.waiting.push_back(waiting(id++, w.now));
    std::ranges::shuffle(w.running, random_);
    w.now.running = w.running;
    w.now.waiting = w.waiting;
    return w;
  }

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Place place(uint64_t id, int32_t& priority) {
    priority = below(4) == 0 ? static_cast<int32_t>(below(5)) - 2 : 0;
    return {static_cast<int64_t>(below(200)) - priority * kStepsPerPriority, id};
  }
  RunningView running(uint64_t id, const Snapshot& now) {
    RunningView r;
    r.place = place(id, r.priority);
    r.computed = below(100);
    r.known = r.computed + (below(3) > 0 ? 1 : 1 + below(60));
    for (uint32_t g = 0; g < now.n_groups; ++g) r.released[g] = below(r.computed / 16 + 2);
    return r;
  }
  WaitingView waiting(uint64_t id, const Snapshot& now) {
    WaitingView w;
    w.place = place(id, w.priority);
    w.known = 1 + below(100);
    w.cached = below(w.known);
    for (uint32_t g = 0; g < now.n_groups; ++g) {
      w.taken[g] = below(w.cached / 16 + 1);
      w.shared[g] = w.cached / 16 - w.taken[g];
    }
    w.parked = below(6) == 0;
    w.next_page = below(3);
    return w;
  }

  std::mt19937 random_{11};
};

// Empty if the plan keeps every promise.
std::string broken_promise(const World& w, const StepPlan& plan) {
  const Snapshot& now = w.now;
  const std::set<uint32_t> gone(plan.preempt.begin(), plan.preempt.end());
  if (gone.size() != plan.preempt.size()) return "preempted twice";
  std::vector<int64_t> pages(now.n_groups);
  for (uint32_t g = 0; g < now.n_groups; ++g) pages[g] = int64_t{now.available[g]} - now.overdrawn[g];
  for (const uint32_t i : gone) {
    for (uint32_t g = 0; g < now.n_groups; ++g) pages[g] += now.running[i].released[g];
  }
  uint64_t rows = 0;
  bool takes_pages = false;
  const auto use = [&](uint32_t computed, uint32_t count) {
    rows += count;
    const uint32_t fresh = new_pages(computed, count, now.page_tokens);
    takes_pages |= fresh > 0;
    for (int64_t& left : pages) left -= fresh;
  };
  std::set<uint32_t> seen;
  for (const StepChunk& c : plan.running) {
    const RunningView& r = now.running[c.index];
    if (!seen.insert(c.index).second) return "a sequence has two chunks";
    if (gone.contains(c.index)) return "a preempted sequence has rows";
    if (c.count == 0 || c.count > r.known - r.computed) return "a chunk is empty or too long";
    if (now.max_chunk != 0 && c.count > now.max_chunk) return "a chunk is over its limit";
    use(r.computed, c.count);
  }
  const size_t stay = now.running.size() - gone.size();
  if (!plan.admit.empty() && stay + plan.admit.size() > now.max_sequences) return "too many sequences";
  std::set<uint64_t> begun;
  const WaitingView* before = nullptr;
  for (const StepChunk& c : plan.admit) {
    const WaitingView& v = now.waiting[c.index];
    if (v.parked) return "a parked sequence is admitted";
    if (before != nullptr && v.place < before->place) return "admitted out of line";
    before = &v;
    if (v.next_page != 0 && !begun.insert(v.next_page).second) return "two compute the same page";
    if (c.count == 0 || c.count > v.known - v.cached) return "a chunk is empty or too long";
    if (now.max_chunk != 0 && c.count > now.max_chunk) return "a chunk is over its limit";
    for (uint32_t g = 0; g < now.n_groups; ++g) {
      pages[g] -= v.taken[g] + (gone.empty() ? 0 : v.shared[g]);
      takes_pages |= v.taken[g] > 0;
    }
    use(v.cached, c.count);
  }
  if (rows > now.max_rows) return "too many rows";
  for (const int64_t left : pages) {
    if (takes_pages && left < 0) return "too many pages";
  }
  // Who is preempted stands behind all those of its priority or higher that go on.
  for (const uint32_t i : gone) {
    for (uint32_t j = 0; j < now.running.size(); ++j) {
      if (!gone.contains(j) && now.running[i].place < now.running[j].place) return "preempted out of line";
    }
  }
  const bool somebody = !now.running.empty();
  if (somebody && rows == 0 && gone.empty() && stay > 1) return "nothing happens";
  if (!somebody && plan.admit.empty()) {
    for (const WaitingView& v : now.waiting) {
      bool fits = !v.parked;
      for (uint32_t g = 0; g < now.n_groups; ++g) fits &= int64_t{v.taken[g]} + 1 <= pages[g];
      const bool first = std::ranges::all_of(
          now.waiting, [&](const WaitingView& o) { return o.parked || !(o.place < v.place); });
      if (fits && first) return "nobody runs and the first in line fits, but is not admitted";
    }
  }
  return {};
}

TEST(ContinuousBatching, AMillionRandomSnapshotsKeepEveryPromise) {
  Maker maker;
  const ContinuousBatching policy;
  uint64_t preempted = 0;
  uint64_t admitted = 0;
  for (int i = 0; i < kSnapshots; ++i) {
    const World w = maker.make();
    const StepPlan plan = policy.plan(w.now);
    const std::string broken = broken_promise(w, plan);
    ASSERT_EQ(broken, "") << "snapshot " << i;
    preempted += plan.preempt.size();
    admitted += plan.admit.size();
  }
  // The snapshots are not too easy.
  EXPECT_GT(preempted, 100'000U);
  EXPECT_GT(admitted, 100'000U);
}

TEST(ContinuousBatching, IsAPureFunctionOfTheSnapshot) {
  Maker maker;
  const ContinuousBatching policy;
  for (int i = 0; i < 1000; ++i) {
    World w = maker.make();
    const StepPlan once = policy.plan(w.now);
    const StepPlan twice = ContinuousBatching().plan(w.now);
    EXPECT_EQ(once.preempt, twice.preempt);
    ASSERT_EQ(once.admit.size(), twice.admit.size());
    // The order in which running sequences are listed means nothing.
    std::vector<RunningView> reversed(w.running.rbegin(), w.running.rend());
    w.now.running = reversed;
    const StepPlan other = policy.plan(w.now);
    ASSERT_EQ(once.running.size(), other.running.size());
    for (const StepChunk& c : once.running) {
      const auto mirrored = static_cast<uint32_t>(reversed.size()) - 1 - c.index;
      EXPECT_TRUE(std::ranges::any_of(
          other.running, [&](const StepChunk& o) { return o.index == mirrored && o.count == c.count; }));
    }
  }
}

}  // namespace
}  // namespace headrace
