// Drafts in the step loop: who gets one, how long it may be, what became of it. The engine asks a drafter
// (decode/drafter.h) through this and knows none by name.
//
// The answer is the same bits with and without: a step draws the token after each row that it computed
// exactly as plain decoding draws it, and goes on to the next row of a draft only if that row's token is the
// one that was drawn (papers: batch speculative decoding, 2.1, with the noise of draws shared by all). By the
// rule of rejection it is drawn so that a drafted token is taken as often as can be (decode/rejection.h).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "decode/draft_length.h"
#include "decode/drafter.h"
#include "engine/choice.h"

namespace headrace {

class Speculation {
 public:
  /// Room for `sequences` of the store. `second` may be null.
  Speculation(std::unique_ptr<Drafter> drafter, std::unique_ptr<Drafter> second,
              const SpeculationOptions& options, uint32_t sequences);

  /// Requests with such parameters may come: steps take nothing from the heap for them.
  void prepare(const SamplingParams& sampling, size_t vocab_size);
  /// What steps take; filled in before the first propose() where lengths are automatic.
  StepCost& cost() { return cost_; }
  const StepCost& cost() const { return cost_; }

  /// Lets the drafters write a few tokens after a made-up text, which is `state` in the store and empty, so
  /// that what drafts cost is known before the first.
  void warm_up(SequenceId state);
  /// Drafts for those that lack one token: sets Choice::drafted. The step has up to `rows` rows besides, and
  /// a sequence holds at most `context` tokens.
  void propose(std::span<const std::unique_ptr<Choice>> running, const StateStore& store, uint64_t rows,
               uint32_t context);

  /// The draft of a running choice.
  const Draft& draft(const Choice& choice) const { return slots_[*choice.sequence].draft; }
  /// Of it only the first `nodes` get a row in this step. Checking begins.
  void begin(Choice& choice, uint32_t nodes);
  /// The node after whose row a token is drawn next, or Draft::kNone.
  int32_t at(const Choice& choice) const { return slots_[*choice.sequence].at; }
  /// Whether the token there is drawn by rejection; then draw() draws it, from `target` (which is used up).
  bool rejects(const Choice& choice) const;
  int32_t draw(const Choice& choice, uint32_t position, std::vector<TokenProbability>& target) const;
  /// `token` was drawn there.
  void drawn(Choice& choice, int32_t token);
  /// Nothing more is drawn in this step: the answer has ended.
  void stop(const Choice& choice) { slots_[*choice.sequence].at = Draft::kNone; }
  /// The rows that are part of the text now, in order.
  std::span<const uint32_t> accepted(const Choice& choice) const;
  /// The choice has ended.
  void forget(const Choice& choice);

  const DraftCounters& counters() const { return counters_; }

 private:
  // Of a sequence of the store.
  struct Slot {
    uint64_t owner = 0;  // the choice's place; another one: the rest means nothing
    Draft draft;
    DraftOdds odds;
    size_t source = 0;      // whose draft it is
    size_t drafted_at = 0;  // tokens of the text that it follows
    std::array<Acceptance, 2> own;
    int32_t at = Draft::kText;
    std::vector<uint32_t> path;  // nodes that were right
  };
  Slot& slot_of(const Choice& choice);
  DraftCandidate candidate(const Choice& choice);
  bool explores(const Choice& choice, size_t source) const;
  double plain_seconds(uint64_t rows) const;
  double saved_by(double rate, double draft_seconds, uint64_t rows, uint32_t tokens) const;
  void ask(size_t source, uint64_t rows, uint32_t context);
  void cut_to_what_pays(uint64_t rows);

  // A drafter and how often it is right.
  struct Source {
    std::unique_ptr<Drafter> drafter;
    Acceptance pooled;
  };
  std::vector<Source> sources_;  // one or two
  SpeculationOptions options_;
  std::vector<Slot> slots_;
  StepCost cost_;
  DraftCounters counters_;
  uint64_t round_ = 0;
  // Of propose(): one each for who gets a draft.
  std::vector<Choice*> open_;  // that lack one token
  std::vector<DraftRequest> requests_;
  std::vector<DraftCandidate> candidates_;
  std::vector<NodeRank> ranks_;
};

}  // namespace headrace
