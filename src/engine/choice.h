// One answer to one request: what the engine knows of it from submit() to its last event.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cache/state_store.h"
#include "engine/engine.h"

namespace headrace {

struct Choice {
  RequestId request = 0;
  uint32_t number = 0;  // 0 to n - 1
  std::shared_ptr<const Request> asked;
  SamplingParams sampling;  // the request's, with this choice's number
  Place place;
  std::vector<int32_t> tokens;  // prompt and what was generated
  /// A key for each page of the prompt, the last perhaps short: equal keys mean equal tokens up to there.
  std::shared_ptr<const std::vector<uint64_t>> page_keys;
  uint64_t submitted_step = 0;
  std::optional<int64_t> deadline;  // on the engine's clock
  uint32_t next_score = 0;          // position of the next prompt token to report; the prompt's end: none

  std::optional<SequenceId> sequence;  // while it runs
  uint32_t drafted = 0;                // tokens of a draft that the next step may check
  /// While it waits: a running choice that is about to compute what this one needs, up to a length.
  uint64_t parked_on = 0;  // its place's id; 0: nobody
  uint32_t parked_until = 0;

  FinishReason ending = FinishReason::none;  // set: it ends before the next step
  bool admitted = false;                     // at least once
  uint32_t computed_most = 0;                // tokens that were computed before it was preempted
  RequestReport report;

  bool wants_draw(uint32_t position) const { return asked->max_new_tokens > 0 && position == tokens.size(); }
  bool wants_score(uint32_t position) const {
    return position >= next_score && position < asked->prompt.size();
  }
  /// Tokens that may come from the cache: at least the last is computed, and those whose successors are
  /// scored.
  uint32_t reusable() const {
    const auto known = static_cast<uint32_t>(tokens.size());
    const bool scores = next_score < asked->prompt.size();
    return scores ? std::min(known, next_score) - 1 : known - 1;
  }
};

/// Whether a choice ends with its last token, which was drawn.
FinishReason end_after_last_token(const Choice& choice, uint32_t context);

}  // namespace headrace
