// Who proposes drafts. The engine knows drafters by this interface alone; what they propose changes how fast
// an answer comes, never one bit of it (by the rule of rejection: never its distribution).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/memory_ledger.h"
#include "core/result.h"
#include "decode/draft.h"
#include "decode/draft_length.h"
#include "decode/rejection.h"
#include "decode/sampler.h"

namespace headrace {

/// A sequence that wants a draft.
struct DraftRequest {
  uint64_t sequence = 0;            // the same from its first draft to forget()
  std::span<const int32_t> tokens;  // its text; the last token was drawn and is not computed yet
  uint64_t salt = 0;                // prefixes are shared among requests of equal salt only
  const SamplingParams* sampling = nullptr;
  uint32_t state = 0;      // the target's own sequence: its keys and values up to the last token but one
  uint32_t most = 0;       // nodes; at most kMaxDraftNodes
  uint32_t branches = 1;   // leaves of the draft
  Draft* draft = nullptr;  // empty; gets what may follow
  /// A token is not worth being made once it is less likely than this to be right, all before it included, by
  /// what is known of this sequence and of all. Only drafters whose tokens cost something look at it.
  double least = 0;
  const Acceptance* own = nullptr;
  const Acceptance* pooled = nullptr;
  /// Null: draws share the target's noise, so that equal distributions draw equal tokens. Otherwise they have
  /// their own (DrawStream::draft), and what they were drawn from is written down here.
  DraftOdds* odds = nullptr;
};

/// One thread at a time. Drafts depend on the requests and on what the drafter has seen, never on a clock.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// "ngram", "model": in reports and benchmark lines.
  virtual std::string_view name() const = 0;
  /// Many sequences at once. Takes nothing from the heap.
  virtual void propose(std::span<const DraftRequest> requests) = 0;
  /// The sequence ended or was preempted; what is kept of it may go.
  virtual void forget(uint64_t /*sequence*/) {}
  /// Seconds that one token more for everybody costs beside the step that checks it; 0: nothing worth
  /// counting.
  virtual double seconds_per_token() const { return 0; }
  /// Seconds that it takes before the first token of this text, beyond that: a prompt that was never read.
  virtual double seconds_to_begin(const DraftRequest& /*request*/) const { return 0; }
};

}  // namespace headrace
