#include "engine/speculation.h"

#include <algorithm>

namespace headrace {
namespace {

// Every so many steps a sequence without a draft tries one token: what is never tried is never known to be
// worth trying again.
constexpr uint64_t kExplore = 64;

constexpr uint32_t kTypicalDraft = 2;  // tokens that pay almost everywhere, if any do

// Tokens that a drafter brings which is right at `rate`, less those that could be had without it meanwhile.
double worth_of(double rate, double cost, uint32_t most) {
  double worth = 0;
  double best = 0;
  double reached = 1;
  for (uint32_t depth = 0; depth < most; ++depth) {
    reached *= rate;
    worth += reached - cost;
    best = std::max(best, worth);
  }
  return best;
}

// That the answer may have yet.
uint32_t tokens_left(const Choice& choice, uint32_t context) {
  const size_t known = choice.tokens.size();
  const size_t generated = known - choice.asked->prompt.size();
  const size_t wanted =
      choice.asked->max_new_tokens > generated ? choice.asked->max_new_tokens - generated : 0;
  return static_cast<uint32_t>(std::min(wanted, context > known ? context - known : 0));
}

}  // namespace

Speculation::Speculation(std::unique_ptr<Drafter> drafter, std::unique_ptr<Drafter> second,
                         const SpeculationOptions& options, uint32_t sequences)
    : options_(options), slots_(sequences) {
  sources_.push_back({std::move(drafter), {}});
  if (second != nullptr) sources_.push_back({std::move(second), {}});
  for (Slot& slot : slots_) slot.path.reserve(kMaxDraftNodes);
  requests_.reserve(sequences);
  open_.reserve(sequences);
  candidates_.reserve(sequences);
  ranks_.reserve(size_t{sequences} * options_.most);
}

void Speculation::prepare(const SamplingParams& sampling, size_t vocab_size) {
  if (options_.rule != DraftRule::rejection || sampling.temperature <= 0) return;
  const size_t candidates =
      sampling.top_k > 0 ? std::min(static_cast<size_t>(sampling.top_k), vocab_size) : vocab_size;
  for (Slot& slot : slots_) slot.odds.reserve(options_.most, candidates);
}

// A sequence of the store goes from one choice to the next; a choice that was preempted comes back with
// another.
Speculation::Slot& Speculation::slot_of(const Choice& choice) {
  Slot& slot = slots_[*choice.sequence];
  if (slot.owner == choice.place.id) return slot;
  for (Slot& other : slots_) {
    if (other.owner == choice.place.id) other.owner = 0;
  }
  for (const Source& source : sources_) {
    if (slot.owner != 0) source.drafter->forget(slot.owner);
  }
  slot.owner = choice.place.id;
  slot.own = {};
  slot.draft.clear();
  slot.drafted_at = 0;
  return slot;
}

void Speculation::forget(const Choice& choice) {
  for (Slot& slot : slots_) {
    if (slot.owner == choice.place.id) slot.owner = 0;
  }
  for (const Source& source : sources_) source.drafter->forget(choice.place.id);
}

DraftCandidate Speculation::candidate(const Choice& choice) {
  Slot& slot = slots_[*choice.sequence];
  // Exploring is not to be undone by what pays.
  const uint32_t least = explores(choice, slot.source) ? std::min(slot.draft.size(), 1U) : 0;
  return {&slot.draft, &slot.own[slot.source], &sources_[slot.source].pooled, least};
}

bool Speculation::explores(const Choice& choice, size_t source) const {
  return (round_ + choice.place.id + source * kExplore / 2) % kExplore == 0;
}

// Of a token of everybody, without drafts.
double Speculation::plain_seconds(uint64_t rows) const {
  return cost_.seconds(std::max<uint64_t>(rows, 1)) / static_cast<double>(open_.size());
}

// Seconds that drafts are expected to save on an answer that may have `tokens` more, where half of them come.
double Speculation::saved_by(double rate, double draft_seconds, uint64_t rows, uint32_t tokens) const {
  const auto sequences = static_cast<double>(open_.size());
  const double plain = plain_seconds(rows);
  const double step =
      (cost_.seconds(rows + kTypicalDraft * open_.size()) + kTypicalDraft * draft_seconds) / sequences;
  double brought = 1;
  for (uint32_t i = 0; i < kTypicalDraft; ++i) brought = 1 + rate * brought;
  return (plain - step / brought) * tokens / 2;
}

void Speculation::ask(size_t source, uint64_t rows, uint32_t context) {
  requests_.clear();
  const Source& asked = sources_[source];
  const double seconds = asked.drafter->seconds_per_token();
  const bool choosy = options_.automatic && seconds > 0;
  const double least = choosy ? least_worth_drafting(cost_, rows, open_.size(), seconds) : 0;
  for (Choice* choice : open_) {
    Slot& slot = slots_[*choice->sequence];
    if (slot.drafted_at == choice->tokens.size() && !slot.draft.empty() && slot.source >= source) continue;
    const bool explore = options_.automatic && explores(*choice, source);
    const double rate = slot.own[source].mean_rate(&asked.pooled);
    // A draft of n tokens may bring n + 1.
    const uint32_t left = tokens_left(*choice, context);
    uint32_t most = std::min(options_.most, left > 0 ? left - 1 : 0);
    if (choosy && rate < least) most = explore ? std::min(most, 1U) : 0;
    // Who has a draft that brings more keeps it.
    if (source > 0 && !explore && most > 0) {
      const double cost = choosy ? seconds / plain_seconds(rows) : 0;
      if (worth_of(rate, cost, most) <= expected_tokens(candidate(*choice))) continue;
    }
    if (most == 0) continue;
    const bool own_noise = options_.rule == DraftRule::rejection && choice->sampling.temperature > 0;
    const DraftRequest request = {.sequence = choice->place.id,
                                  .tokens = choice->tokens,
                                  .salt = choice->asked->cache_salt,
                                  .sampling = &choice->sampling,
                                  .state = *choice->sequence,
                                  .most = most,
                                  .branches = options_.branches,
                                  .draft = &slot.draft,
                                  .least = least,
                                  .own = &slot.own[source],
                                  .pooled = &asked.pooled,
                                  .odds = own_noise ? &slot.odds : nullptr};
    if (choosy && asked.drafter->seconds_to_begin(request) > saved_by(rate, seconds, rows, left)) continue;
    slot.draft.clear();
    slot.odds.clear();
    slot.source = source;
    requests_.push_back(request);
  }
  if (requests_.empty()) return;
  asked.drafter->propose(requests_);
  for (const DraftRequest& request : requests_) HEADRACE_CHECK(request.draft->leaves() <= options_.branches);
}

void Speculation::cut_to_what_pays(uint64_t rows) {
  candidates_.clear();
  for (Choice* choice : open_) {
    const Slot& slot = slots_[*choice->sequence];
    // What was drawn must not decide whether it is checked.
    if (slot.odds.empty())
      candidates_.push_back(candidate(*choice));
    else
      rows += slot.draft.size();
  }
  choose_nodes(candidates_, cost_, rows, ranks_);
}

void Speculation::propose(std::span<const std::unique_ptr<Choice>> running, const StateStore& store,
                          uint64_t rows, uint32_t context) {
  ++round_;
  open_.clear();
  if (options_.automatic && !cost_.known()) return;  // interrupted while it was measured
  for (const auto& choice : running) {
    if (store.length(*choice->sequence) + 1 != choice->tokens.size()) continue;  // its prompt is being read
    Slot& slot = slot_of(*choice);
    open_.push_back(choice.get());
    // Who got no rows for it has it still.
    if (slot.drafted_at == choice->tokens.size()) continue;
    slot.draft.clear();
    slot.odds.clear();
  }
  for (size_t source = 0; source < sources_.size() && !open_.empty(); ++source) ask(source, rows, context);
  if (options_.automatic) cut_to_what_pays(rows);
  for (Choice* choice : open_) {
    Slot& slot = slots_[*choice->sequence];
    slot.drafted_at = choice->tokens.size();
    choice->drafted = slot.draft.size();
  }
}

void Speculation::warm_up(SequenceId state) {
  constexpr uint64_t kNobody = UINT64_MAX;
  const int32_t text[] = {0};
  SamplingParams greedy;
  greedy.temperature = 0;
  for (const Source& source : sources_) {
    for (uint32_t i = 0; i < 3; ++i) {
      Draft draft;
      const DraftRequest request = {.sequence = kNobody,
                                    .tokens = text,
                                    .sampling = &greedy,
                                    .state = state,
                                    .most = std::min(options_.most, 3U),
                                    .draft = &draft};
      source.drafter->propose({&request, 1});
    }
    source.drafter->forget(kNobody);
  }
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

bool Speculation::rejects(const Choice& choice) const {
  if (options_.rule != DraftRule::rejection || choice.sampling.temperature <= 0) return false;
  const Slot& slot = slots_[*choice.sequence];
  for (uint32_t i = 0; i < slot.draft.size(); ++i) {
    if (slot.draft.node(i).parent == slot.at) return true;
  }
  return false;
}

int32_t Speculation::draw(const Choice& choice, uint32_t position,
                          std::vector<TokenProbability>& target) const {
  const Slot& slot = slots_[*choice.sequence];
  return draw_by_rejection(slot.draft, slot.odds, slot.at, choice.sampling, position, target);
}

void Speculation::drawn(Choice& choice, int32_t token) {
  Slot& slot = slots_[*choice.sequence];
  const int32_t next = slot.draft.child(slot.at, token);
  for (uint32_t i = 0; i < slot.draft.size(); ++i) {
    const Draft::Node& node = slot.draft.node(i);
    if (node.parent != slot.at) continue;
    const bool right = static_cast<int32_t>(i) == next;
    slot.own[slot.source].observe(node.trust, right);
    sources_[slot.source].pooled.observe(node.trust, right);
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
