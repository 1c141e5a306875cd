// From logits to a token: penalties, filters, and a draw by the Gumbel-max rule.
//
// The draw adds to each candidate's logit a noise that depends on (seed, choice, position, token id) and on
// nothing else, and takes the largest. So the same request draws the same tokens in any batch, and a
// speculated token can be checked by equality (docs/numerics.md, "Drawing").
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/result.h"

namespace headrace {

/// Names and defaults as llama.cpp's users know them. Order: logit bias, penalties, top-k, top-p, min-p,
/// temperature, draw.
struct SamplingParams {
  float temperature = 0.8F;     // 0 or less: the most likely token, no draw
  int32_t top_k = 40;           // keep the k most likely; 0 or -1: all
  float top_p = 0.95F;          // keep the fewest whose probabilities reach p; 1: all
  float min_p = 0.05F;          // drop what is less likely than min_p times the most likely; 0: none
  float repeat_penalty = 1.0F;  // divides positive logits (multiplies negative ones) of recent tokens; 1: off
  float presence_penalty = 0.0F;   // subtracted once from recent tokens
  float frequency_penalty = 0.0F;  // subtracted for each time a token is among the recent ones
  int32_t penalty_last_n = 64;     // how many tokens are recent; 0: none, -1: all
  uint64_t seed = 0;
  uint32_t choice = 0;                                // which of n answers to one prompt
  std::vector<std::pair<int32_t, float>> logit_bias;  // added to a token's logit; -infinity forbids it
  uint32_t n_top_logprobs = 0;                        // alternatives to report with each token
  bool logprobs = false;                              // report log-probabilities at all
};

/// Refuses values that mean nothing (NaN, negative temperature, top_p outside 0..1, a token id beyond the
/// vocabulary), naming the parameter.
Status check_sampling(const SamplingParams& params, size_t vocab_size);

/// Whether the most likely token of the raw logits is the answer: no draw, no bias, no penalty, no logprobs.
bool is_plain_argmax(const SamplingParams& params);

struct TokenLogprob {
  int32_t token;
  double
      logprob;  // natural logarithm, under the model's own distribution (before bias, penalties, temperature)
};

struct Draw {
  int32_t token = 0;
  double logprob = 0;             // valid if params.logprobs
  std::vector<TokenLogprob> top;  // n_top_logprobs most likely, best first
};

class DrawScratch;  // draw_scratch.h

/// Draws the token at `position` (its index in the sequence, the prompt's first being 0).
///
/// @param logits       [vocab], changed in place by bias and penalties
/// @param history      all tokens so far, prompt included
/// @param log_sum_exp  of the raw logits; used only if params.logprobs
/// Pure: no state but its arguments, and what was in `scratch` can't be seen. Ties go to the lowest token id.
Draw draw(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
          uint32_t position, double log_sum_exp, DrawScratch& scratch);

/// The same token, and no report: nothing is taken from the heap beyond what `scratch` was prepared for.
int32_t draw_token(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
                   uint32_t position, DrawScratch& scratch);

/// A token and how likely it is to be drawn.
struct TokenProbability {
  int32_t token;
  double probability;
};

/// What draw() draws from: the candidates that filters leave, by token id, their probabilities adding up to
/// 1. `logits` are changed as draw() changes them.
void draw_distribution(const SamplingParams& params, std::span<float> logits,
                       std::span<const int32_t> history, DrawScratch& scratch,
                       std::vector<TokenProbability>& out);

/// As draw(), except that `choose` says which token it is, by what the draw would be from.
Draw draw_by(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
             double log_sum_exp, DrawScratch& scratch,
             const std::function<int32_t(std::vector<TokenProbability>& from)>& choose);

/// How many of a row's best raw logits draw_from_top_k() needs for such a request once its sequence holds
/// `history` tokens; 0: it needs the whole row. That is where all tokens are candidates (no top-k), where
/// bias or penalties may raise a logit, and where the top-k and the tokens that they may lower come to more
/// than kMaxTopK.
uint32_t top_k_wanted(const SamplingParams& params, size_t history);

/// As draw(), the same bits, from the best raw logits of the row: `ids` and `values` as Ops::top_k gives
/// them, at least top_k_wanted() of each (more are not looked at). Null where only the whole row can tell:
/// top_k_wanted() is 0, or the row holds fewer numbers above -infinity than the draw or its report would
/// show.
std::optional<Draw> draw_from_top_k(const SamplingParams& params, std::span<const int32_t> ids,
                                    std::span<const float> values, std::span<const int32_t> history,
                                    uint32_t position, double log_sum_exp, DrawScratch& scratch);

/// Draws of one position that must know nothing of each other.
enum class DrawStream : uint32_t {
  token = 0,  // of the text: plain draws
  draft,      // a drafter's own, by the rule of rejection (rejection.h)
  accept,     // whether a drafted token is taken
  residual,   // what stands there if it is not
};

/// Uniform in (0, 1): Philox 4x32-10 keyed by seed, counter (choice, position, token, stream).
double draw_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t token,
                    DrawStream stream = DrawStream::token);

}  // namespace headrace
