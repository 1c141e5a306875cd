// The rule of rejection: drafts that were drawn by a noise of their own, checked so that what comes out is
// distributed as the target's own draws are (papers: batch speculative decoding, 2.1). A drafted token d,
// drawn from q, is taken with probability min(1, p(d) / q(d)); otherwise the token is drawn from max(0, p -
// q), scaled to add up to 1. More drafts are taken than by comparing draws that share their noise; the price
// is that the text is another one than plain decoding's.
//
// Whether a token is checked at all must not depend on which token it is: of tokens that are only kept when
// they look likely, min(1, p / q) takes too many. So a draft with odds is cut at lengths that were settled
// before it was drawn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/draft.h"
#include "decode/sampler.h"

namespace headrace {

/// What a draft's tokens were drawn from, node by node.
class DraftOdds {
 public:
  /// Room for drafts of `nodes` tokens, each drawn from up to `candidates`.
  void reserve(size_t nodes, size_t candidates);
  void clear();
  bool empty() const { return ends_.empty(); }

  /// Of the draft's next node; by token id.
  void add(std::span<const TokenProbability> distribution);
  /// Empty: the token was not drawn, its drafter is certain of it.
  std::span<const TokenProbability> of(uint32_t node) const;

 private:
  std::vector<TokenProbability> all_;
  std::vector<size_t> ends_;
};

/// A token by its probability; the same one for the same seed, choice, position and stream.
int32_t draw_from(std::span<const TokenProbability> distribution, const SamplingParams& params,
                  uint32_t position, DrawStream stream);

/// The token at `position`, which follows node `at` of a draft (or Draft::kText), where the target draws from
/// `target` (used up). Of the node's children the first may have odds, the others are certain.
int32_t draw_by_rejection(const Draft& draft, const DraftOdds& odds, int32_t at, const SamplingParams& params,
                          uint32_t position, std::vector<TokenProbability>& target);

}  // namespace headrace
