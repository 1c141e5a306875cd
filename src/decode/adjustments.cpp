#include "decode/adjustments.h"

#include <algorithm>

namespace headrace {
namespace {

constexpr auto by_token = [](const auto& a, const auto& b) { return a.first < b.first; };

}  // namespace

size_t recent_tokens(const SamplingParams& p, size_t history) {
  const bool none = p.repeat_penalty == 1.0F && p.presence_penalty == 0.0F && p.frequency_penalty == 0.0F;
  if (none) return 0;
  return p.penalty_last_n < 0 ? history : std::min(history, static_cast<size_t>(p.penalty_last_n));
}

bool only_lowers(const SamplingParams& p) {
  const auto raises = [](const auto& bias) { return bias.second > 0.0F; };
  return p.repeat_penalty >= 1.0F && p.presence_penalty >= 0.0F && p.frequency_penalty >= 0.0F &&
         std::none_of(p.logit_bias.begin(), p.logit_bias.end(), raises);
}

Adjustments::Adjustments(const SamplingParams& params, std::span<const int32_t> history)
    : params_(params), biases_(params.logit_bias) {
  const auto recent = history.last(recent_tokens(params, history.size()));
  tokens_.assign(recent.begin(), recent.end());
  std::sort(tokens_.begin(), tokens_.end());
  for (const int32_t token : tokens_) {
    if (counts_.empty() || counts_.back().first != token) counts_.emplace_back(token, 0);
    ++counts_.back().second;
  }
  // Stable: biases of one token are added in the order of the request.
  std::stable_sort(biases_.begin(), biases_.end(), by_token);
  for (const auto& [token, bias] : biases_) tokens_.push_back(token);
  std::sort(tokens_.begin(), tokens_.end());
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end()), tokens_.end());
}

float Adjustments::apply(int32_t token, float logit) const {
  const std::pair<int32_t, float> some_bias = {token, 0.0F};
  const auto [first, last] = std::equal_range(biases_.begin(), biases_.end(), some_bias, by_token);
  for (auto bias = first; bias != last; ++bias) logit += bias->second;
  const std::pair<int32_t, uint32_t> some_count = {token, 0};
  const auto count = std::lower_bound(counts_.begin(), counts_.end(), some_count, by_token);
  if (count == counts_.end() || count->first != token) return logit;
  logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
  return logit - (static_cast<float>(count->second) * params_.frequency_penalty + params_.presence_penalty);
}

}  // namespace headrace
