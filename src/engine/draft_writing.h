// What drafters that compute their drafts share: sequences that get one token more with each step, drawn as
// the target would draw it.
#pragma once

#include <span>
#include <vector>

#include "decode/drafter.h"
#include "decode/draw_scratch.h"
#include "engine/step_runner.h"

namespace headrace {

/// A draft that is being written.
struct DraftInWriting {
  const DraftRequest* request = nullptr;
  int32_t last = Draft::kText;  // node
  double reached = 1;           // how likely the text comes to it

  /// One token more is wanted.
  bool goes_on() const { return request->draft->size() < request->most && reached >= request->least; }
};

/// One thread at a time.
class DraftWriting {
 public:
  static constexpr uint32_t kMostOutputs = 64;

  /// Room for texts of `context` tokens. `scratch` is prepared for the requests that will come and outlives
  /// it.
  DraftWriting(uint32_t context, DrawScratch& scratch) : scratch_(scratch) {
    history_.reserve(context + kMaxDraftNodes);
  }

  /// Draws from the outputs of the runner's last run, one each of `drafts`, and appends what was drawn; where
  /// the draft may branch, the likeliest other token beside it, which nothing follows. The trust class of a
  /// token is by its probability.
  void append(StepRunner& runner, std::span<DraftInWriting* const> drafts);

  /// What a draft took, tokens that were read on included, for each of its steps.
  void took(double seconds);
  double seconds_per_token() const { return seconds_; }

 private:
  uint32_t read_on(const DraftInWriting& draft);
  static void add(DraftInWriting& draft, int32_t token, uint8_t trust);
  int32_t draw(StepRunner& runner, const DraftInWriting& draft, size_t output);
  int32_t draw_alone(StepRunner& runner, const DraftInWriting& draft, size_t output);

  DrawScratch& scratch_;
  std::vector<int32_t> history_;
  double seconds_ = 0;
  uint32_t timed_ = 0;
};

}  // namespace headrace
