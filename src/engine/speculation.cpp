#include "engine/speculation.h"

#include <algorithm>

namespace headrace {
namespace {

// Every so many steps a sequence without a draft tries one token: what is never tried is never known to be
// worth trying again.
constexpr uint64_t kExplore = 64;

}  // namespace

Speculation::Speculation(std::unique_ptr<Drafter> drafter, const SpeculationOptions& options,
                         uint32_t sequences)
    : drafter_(std::move(drafter)), options_(options), slots_(sequences) {
  for (Slot& slot : slots_) slot.path.reserve(kMaxDraftNodes);
  requests_.reserve(sequences);
  asking_.reserve(sequences);
  candidates_.reserve(sequences);
  ranks_.reserve(size_t{sequences} * options_.most);
}

// A sequence of the store goes from one choice to the next; a choice that was preempted comes back with
// another.
Speculation::Slot& Speculation::slot_of(const Choice& choice) {
  Slot& slot = slots_[*choice.sequence];
  if (slot.owner == choice.place.id) return slot;
  for (Slot& other : slots_) {
    if (other.owner == choice.place.id) other.owner = 0;
  }
  if (slot.owner != 0) drafter_->forget(slot.owner);
  slot.owner = choice.place.id;
  slot.own = Acceptance();
  slot.draft.clear();
  return slot;
}

void Speculation::forget(const Choice& choice) {
  for (Slot& slot : slots_) {
    if (slot.owner == choice.place.id) slot.owner = 0;
  }
  drafter_->forget(choice.place.id);
}

// A draft of n tokens may bring n + 1.
uint32_t Speculation::most_nodes(const Choice& choice, uint32_t context) const {
  const size_t known = choice.tokens.size();
  const size_t generated = known - choice.asked->prompt.size();
  const size_t wanted =
      choice.asked->max_new_tokens > generated ? choice.asked->max_new_tokens - generated : 0;
  const size_t room = context > known ? context - known : 0;
  const size_t most = std::min(wanted, room);
  return static_cast<uint32_t>(std::min<size_t>(options_.most, most > 0 ? most - 1 : 0));
}

void Speculation::propose(std::span<const std::unique_ptr<Choice>> running, const StateStore& store,
                          uint64_t rows, uint32_t context) {
  ++round_;
  asking_.clear();
  requests_.clear();
  candidates_.clear();
  if (options_.automatic && !cost_.known()) return;  // interrupted while it was measured
  const double draft_seconds = drafter_->seconds_per_token();
  uint32_t depth = options_.most;
  if (options_.automatic && draft_seconds > 0) {
    depth = depth_worth_drafting(pooled_, cost_, rows, running.size(), draft_seconds, depth);
  }
  for (const auto& choice : running) {
    if (store.length(*choice->sequence) + 1 != choice->tokens.size()) continue;  // its prompt is being read
    Slot& slot = slot_of(*choice);
    slot.draft.clear();
    const uint32_t least = (round_ + choice->place.id) % kExplore == 0 ? 1 : 0;
    const uint32_t most = std::min(std::max(depth, least), most_nodes(*choice, context));
    if (most == 0) continue;
    asking_.push_back(choice.get());
    requests_.push_back({.sequence = choice->place.id,
                         .tokens = choice->tokens,
                         .salt = choice->asked->cache_salt,
                         .sampling = &choice->sampling,
                         .state = *choice->sequence,
                         .most = most,
                         .branches = options_.branches,
                         .draft = &slot.draft});
    candidates_.push_back({&slot.draft, &slot.own, least});
  }
  if (requests_.empty()) return;
  drafter_->propose(requests_);
  for (const DraftRequest& request : requests_) HEADRACE_CHECK(request.draft->leaves() <= options_.branches);
  if (options_.automatic) choose_nodes(candidates_, pooled_, cost_, rows, ranks_);
  for (Choice* choice : asking_) choice->drafted = slots_[*choice->sequence].draft.size();
}

void Speculation::warm_up(SequenceId state) {
  constexpr uint64_t kNobody = UINT64_MAX;
  const int32_t text[] = {0};
  SamplingParams greedy;
  greedy.temperature = 0;
  for (uint32_t i = 0; i < 3; ++i) {
    Draft draft;
    const DraftRequest request = {.sequence = kNobody,
                                  .tokens = text,
                                  .sampling = &greedy,
                                  .state = state,
                                  .most = std::min(options_.most, 3U),
                                  .draft = &draft};
    drafter_->propose({&request, 1});
  }
  drafter_->forget(kNobody);
}

void Speculation::begin(Choice& choice, uint32_t nodes) {
  Slot& slot = slot_of(choice);
  slot.draft.cut(nodes);
  slot.at = Draft::kText;
  slot.path.clear();
  if (slot.draft.empty()) return;
  ++counters_.drafts;
  counters_.tokens += slot.draft.size();
  ++choice.report.drafts.drafts;
  choice.report.drafts.tokens += slot.draft.size();
}

void Speculation::drawn(Choice& choice, int32_t token) {
  Slot& slot = slots_[*choice.sequence];
  const int32_t next = slot.draft.child(slot.at, token);
  for (uint32_t i = 0; i < slot.draft.size(); ++i) {
    const Draft::Node& node = slot.draft.node(i);
    if (node.parent != slot.at) continue;
    const bool right = static_cast<int32_t>(i) == next;
    slot.own.observe(node.trust, right);
    pooled_.observe(node.trust, right);
  }
  slot.at = next;
  if (next == Draft::kNone) return;
  const auto node = static_cast<uint32_t>(next);
  slot.path.push_back(node);
  ++choice.report.drafts.accepted;
  ++counters_.accepted;
  ++counters_.accepted_at[std::min(slot.draft.node(node).depth, DraftCounters::kPlaces) - 1];
}

std::span<const uint32_t> Speculation::accepted(const Choice& choice) const {
  return slots_[*choice.sequence].path;
}

}  // namespace headrace
