#include "engine/lineup.h"

#include <algorithm>

#include "core/checked.h"

namespace headrace {
namespace {

// How far down the line candidates are looked for.
constexpr size_t kLookAhead = 256;

// Equal beginnings shorter than this are computed twice rather than waited for.
constexpr uint32_t kWorthWaiting = 16;

uint32_t common_from(std::span<const int32_t> a, std::span<const int32_t> b, uint32_t begin) {
  const auto end = static_cast<uint32_t>(std::min(a.size(), b.size()));
  while (begin < end && a[begin] == b[begin]) ++begin;
  return begin;
}

}  // namespace

std::vector<uint64_t> page_keys_of(uint64_t salt, std::span<const int32_t> prompt, uint32_t page_tokens) {
  std::vector<uint64_t> keys;
  // FNV-1a over tokens; only the decision to wait hangs on it, never which tokens are reused.
  uint64_t key = 14695981039346656037ULL ^ salt;
  for (size_t i = 0; i < prompt.size(); ++i) {
    key = (key ^ static_cast<uint32_t>(prompt[i])) * 1099511628211ULL;
    if ((i + 1) % page_tokens == 0 || i + 1 == prompt.size()) keys.push_back(key == 0 ? 1 : key);
  }
  return keys;
}

Lineup::Lineup(StateStore& store) : store_(store) {
  running_.reserve(store.max_sequences());
  running_views_.reserve(store.max_sequences());
  moved_.reserve(store.max_sequences());
  waiting_views_.reserve(kCandidates);
  viewed_.reserve(kCandidates);
}

void Lineup::add(std::unique_ptr<Choice> choice) {
  const size_t all = running_.size() + waiting_.size() + 1;
  if (waiting_.capacity() < all) waiting_.reserve(2 * all);
  put_in_line(std::move(choice));
}

void Lineup::put_in_line(std::unique_ptr<Choice> choice) {
  const auto at =
      std::ranges::upper_bound(waiting_, choice->place, {}, [](const auto& w) { return w->place; });
  waiting_.insert(at, std::move(choice));
}

// --- the snapshot -----------------------------------------------------------------------------------------

bool Lineup::somebody_could_enter(const StepLimits& limits) const {
  if (waiting_.empty()) return false;
  if (running_.size() < limits.sequences) return true;
  const auto lowest =
      std::ranges::min_element(running_, {}, [](const auto& choice) { return choice->asked->priority; });
  return std::ranges::any_of(
      waiting_, [&](const auto& choice) { return choice->asked->priority > (*lowest)->asked->priority; });
}

// Whether a running choice is about to compute what `choice` would compute first.
bool Lineup::parked(Choice& choice, uint32_t cached, uint32_t page_tokens) const {
  const uint32_t page = cached / page_tokens;
  const std::vector<uint64_t>& keys = *choice.page_keys;
  choice.parked_on = 0;
  for (const auto& other : running_) {
    const uint32_t computed = store_.length(*other->sequence);
    if (computed + 1 >= other->tokens.size() || other->asked->cache_salt != choice.asked->cache_salt)
      continue;
    if (page > keys.size() || page > other->page_keys->size()) continue;
    if (page > 0 && keys[page - 1] != (*other->page_keys)[page - 1]) continue;
    // The last key may stand for less than a page.
    if (page * page_tokens > std::min(choice.asked->prompt.size(), other->asked->prompt.size())) continue;
    const uint32_t common =
        std::min(common_from(choice.tokens, other->tokens, page * page_tokens), choice.reusable());
    if (common <= std::max(cached, computed) || common < kWorthWaiting) continue;
    choice.parked_on = other->place.id;
    choice.parked_until = common;
    return true;
  }
  return false;
}

void Lineup::view_waiting(const StepLimits& limits, uint32_t page_tokens) {
  size_t candidates = 0;
  size_t looked = 0;
  for (const auto& choice : waiting_) {
    if (candidates == kCandidates || ++looked > kLookAhead) break;
    if (choice->parked_on != 0) {
      const auto owner =
          std::ranges::find(running_, choice->parked_on, [](const auto& r) { return r->place.id; });
      if (owner != running_.end() && store_.length(*(*owner)->sequence) < choice->parked_until) continue;
      choice->parked_on = 0;
    }
    WaitingView view = {.place = choice->place,
                        .priority = choice->asked->priority,
                        .known = static_cast<uint32_t>(choice->tokens.size())};
    Prospect prospect;
    if (limits.prefix_cache) {
      prospect =
          store_.prospect(choice->asked->cache_salt, std::span(choice->tokens).first(choice->reusable()));
      view.cached = prospect.cached;
      view.taken = prospect.taken;
      view.shared = prospect.shared;
      if (parked(*choice, view.cached, page_tokens)) continue;
      const uint32_t page = view.cached / page_tokens;
      const uint32_t page_end = std::min((page + 1) * page_tokens, view.known);
      if (page < choice->page_keys->size() && page_end - view.cached >= kWorthWaiting) {
        view.next_page = (*choice->page_keys)[page];
      }
    }
    waiting_views_.push_back(view);
    viewed_.push_back({choice.get(), prospect});
    ++candidates;
  }
}

Snapshot Lineup::snapshot(const StepLimits& limits, uint32_t page_tokens) {
  running_views_.clear();
  waiting_views_.clear();
  viewed_.clear();
  Snapshot now;
  now.available = store_.available();
  now.overdrawn = store_.overdrawn();
  now.largest = store_.largest();
  now.n_groups = static_cast<uint32_t>(store_.n_groups());
  now.page_tokens = page_tokens;
  now.max_rows = limits.rows;
  now.max_chunk = limits.chunk;
  now.max_sequences = limits.sequences;
  if (somebody_could_enter(limits)) view_waiting(limits, page_tokens);
  // What preemption would bring is counted only where somebody may be preempted.
  const uint64_t wanted = running_.size() + ceil_div(limits.rows, page_tokens) + 1;
  bool count_released = !waiting_views_.empty();
  for (uint32_t g = 0; g < now.n_groups; ++g) count_released |= now.available[g] < wanted;
  for (const auto& choice : running_) {
    RunningView view = {.place = choice->place,
                        .priority = choice->asked->priority,
                        .known = static_cast<uint32_t>(choice->tokens.size()),
                        .computed = store_.length(*choice->sequence),
                        .drafted = choice->drafted};
    if (count_released) view.released = store_.released(*choice->sequence);
    running_views_.push_back(view);
  }
  now.running = running_views_;
  now.waiting = waiting_views_;
  return now;
}

// --- the plan ---------------------------------------------------------------------------------------------

// Takes no more from the cache than the plan knew of: once others were admitted, and old pages given up for
// them, another candidate may come out a little longer.
void Lineup::admit(Choice& choice, const Prospect& prospect, const StepLimits& limits, uint64_t step) {
  Reuse reuse;
  choice.sequence =
      store_.open(choice.asked->cache_salt, std::span(choice.tokens).first(prospect.cached), &reuse);
  if (reuse.tokens == prospect.cached) reuse.limit = prospect.limit;
  if (!limits.prefix_cache) reuse.limit = ReuseLimit::off;
  const bool all = reuse.limit == ReuseLimit::whole && reuse.tokens + 1 == choice.tokens.size();
  if (reuse.limit == ReuseLimit::whole && !all) reuse.limit = ReuseLimit::outputs;
  if (!choice.admitted) {
    choice.admitted = true;
    choice.report.reuse = reuse;
    choice.report.queued_steps = step - choice.submitted_step;
  } else {
    choice.report.recomputed += choice.computed_most - std::min(choice.computed_most, reuse.tokens);
  }
  reused_tokens_ += reuse.tokens;
}

void Lineup::apply(const StepPlan& plan, const StepLimits& limits, uint64_t step,
                   std::vector<StepChunk>& chunks) {
  for (const uint32_t i : plan.preempt) {
    std::unique_ptr<Choice>& choice = running_[i];
    choice->computed_most = std::max(choice->computed_most, store_.length(*choice->sequence));
    store_.close(*choice->sequence);
    choice->sequence.reset();
    ++choice->report.preemptions;
    ++preemptions_;
  }
  // Chunks first, while indices are the snapshot's.
  moved_.resize(running_.size());
  uint32_t next = 0;
  for (uint32_t i = 0; i < running_.size(); ++i) {
    moved_[i] = next;
    if (running_[i]->sequence) ++next;
  }
  chunks.clear();
  for (const StepChunk& chunk : plan.running) chunks.push_back({moved_[chunk.index], chunk.count});
  for (std::unique_ptr<Choice>& choice : running_) {
    if (!choice->sequence) put_in_line(std::move(choice));
  }
  std::erase(running_, nullptr);
  for (const StepChunk& chunk : plan.admit) {
    Choice& choice = *viewed_[chunk.index].choice;
    admit(choice, viewed_[chunk.index].prospect, limits, step);
    const auto entry = std::ranges::find(waiting_, &choice, [](const auto& w) { return w.get(); });
    chunks.push_back({static_cast<uint32_t>(running_.size()), chunk.count});
    running_.push_back(std::move(*entry));
  }
  if (!plan.admit.empty()) std::erase(waiting_, nullptr);
}

}  // namespace headrace
