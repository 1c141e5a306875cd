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

void Adjustments::reserve(const SamplingParams& params, size_t history) {
  const size_t recent = recent_tokens(params, history);
  biases_.reserve(params.logit_bias.size());
  counts_.reserve(recent);
  tokens_.reserve(recent + params.logit_bias.size());
}

void Adjustments::set(const SamplingParams& params, std::span<const int32_t> history) {
  params_ = &params;
  biases_.clear();
  counts_.clear();
  const auto recent = history.last(recent_tokens(params, history.size()));
  tokens_.assign(recent.begin(), recent.end());
  std::sort(tokens_.begin(), tokens_.end());
  for (const int32_t token : tokens_) {
    if (counts_.empty() || counts_.back().first != token) counts_.emplace_back(token, 0);
    ++counts_.back().second;
  }
  for (const auto& [token, bias] : params.logit_bias) {
    biases_.emplace_back(token, static_cast<uint32_t>(biases_.size()));
    tokens_.push_back(token);
  }
  // Biases of one token are added in the order of the request.
  std::sort(biases_.begin(), biases_.end());
  std::sort(tokens_.begin(), tokens_.end());
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end()), tokens_.end());
}

float Adjustments::apply(int32_t token, float logit) const {
  const std::pair<int32_t, uint32_t> any = {token, 0};
  const auto [first, last] = std::equal_range(biases_.begin(), biases_.end(), any, by_token);
  for (auto bias = first; bias != last; ++bias) logit += params_->logit_bias[bias->second].second;
  const auto count = std::lower_bound(counts_.begin(), counts_.end(), any, by_token);
  if (count == counts_.end() || count->first != token) return logit;
  logit = logit > 0 ? logit / params_->repeat_penalty : logit * params_->repeat_penalty;
  return logit - (static_cast<float>(count->second) * params_->frequency_penalty + params_->presence_penalty);
}

}  // namespace headrace
