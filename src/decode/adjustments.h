// What logit bias and penalties make of a token's logit: the same bits whether the whole row is at hand or
// only its best.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "decode/sampler.h"

namespace headrace {

/// Tokens at the end of a history that the penalties look at; 0 if there are no penalties.
size_t recent_tokens(const SamplingParams& params, size_t history);

/// No adjustment of `params` can make a logit larger.
bool only_lowers(const SamplingParams& params);

/// Bias first, in the order of the request, then penalties.
class Adjustments {
 public:
  /// From now on those of `params`, which must outlive the calls below, after `history`.
  void set(const SamplingParams& params, std::span<const int32_t> history);
  /// Takes the memory that set() needs with such parameters and up to `history` tokens.
  void reserve(const SamplingParams& params, size_t history);

  /// Those with a bias or a penalty, ascending.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  /// The raw logit of any token, adjusted.
  float apply(int32_t token, float logit) const;

 private:
  const SamplingParams* params_ = nullptr;
  std::vector<std::pair<int32_t, uint32_t>> biases_;  // token and index in the request's list, ascending
  std::vector<std::pair<int32_t, uint32_t>> counts_;  // of recent tokens, by token
  std::vector<int32_t> tokens_;
};

}  // namespace headrace
