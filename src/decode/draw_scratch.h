// The memory that draws work in, kept from one to the next so that drawing takes none from the heap. It can't
// be seen in any result.
#pragma once

#include <cstddef>
#include <vector>

#include "decode/adjustments.h"
#include "decode/sampler.h"

namespace headrace {

struct Candidate {
  int32_t token;
  float logit;
};

/// One thread at a time.
class DrawScratch {
 public:
  /// Draws by such parameters, from so many tokens and after up to `history` others, find all they need from
  /// now on; lists of alternatives for `draws` at once.
  void prepare(const SamplingParams& params, size_t vocab_size, size_t history, size_t draws);

  /// draw_distribution() and draw_by(), too.
  void prepare_distributions(size_t vocab_size) {
    candidates.reserve(vocab_size);
    distribution.reserve(vocab_size);
  }

  /// An empty list for Draw::top.
  std::vector<TokenLogprob> take_list();
  /// Gives the list of a draw back.
  void recycle(Draw& draw);

  // What draw() and draw_from_top_k() write down; it means nothing between them.
  std::vector<Candidate> candidates;
  std::vector<double> weights;  // of candidates
  std::vector<TokenProbability> distribution;
  Adjustments adjustments;
  std::vector<float> raw;  // logits of adjustments.tokens()

 private:
  std::vector<std::vector<TokenLogprob>> lists_;
  size_t list_size_ = 0;   // tokens that each list has room for
  size_t most_lists_ = 0;  // that are kept
};

}  // namespace headrace
