#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "ops/elementary.h"

namespace headrace {
namespace {

struct Candidate {
  int32_t token;
  float logit;
};

// Best first; equal logits by token id, so that the order is total.
bool better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

void apply_bias_and_penalties(const SamplingParams& params, std::span<float> logits,
                              std::span<const int32_t> history) {
  for (const auto& [token, bias] : params.logit_bias) logits[static_cast<size_t>(token)] += bias;
  const size_t recent = params.penalty_last_n < 0
                            ? history.size()
                            : std::min(history.size(), static_cast<size_t>(params.penalty_last_n));
  const bool none =
      params.repeat_penalty == 1.0F && params.presence_penalty == 0.0F && params.frequency_penalty == 0.0F;
  if (none || recent == 0) return;
  std::unordered_map<int32_t, uint32_t> counts;
  for (const int32_t token : history.last(recent)) ++counts[token];
  for (const auto& [token, count] : counts) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params.repeat_penalty : logit * params.repeat_penalty;
    logit -= static_cast<float>(count) * params.frequency_penalty + params.presence_penalty;
  }
}

// The k best, best first.
void keep_best(std::vector<Candidate>& candidates, size_t k) {
  if (k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(k), candidates.end(),
                     better);
    candidates.resize(k);
  }
  std::sort(candidates.begin(), candidates.end(), better);
}

// `candidates` is sorted. Keeps the shortest prefix whose probability (among the candidates) reaches p.
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  const double best = static_cast<double>(candidates.front().logit);
  double total = 0;
  for (const Candidate& c : candidates) total += exp_f64(static_cast<double>(c.logit) - best);
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += exp_f64(static_cast<double>(candidates[i].logit) - best);
    if (sum >= p * total) {
      candidates.resize(i + 1);
      return;
    }
  }
}

void keep_min_p(std::vector<Candidate>& candidates, double min_p) {
  const double least = static_cast<double>(candidates.front().logit) + log_f64(min_p);
  const auto unlikely = [&](const Candidate& c) { return static_cast<double>(c.logit) < least; };
  candidates.erase(std::find_if(candidates.begin() + 1, candidates.end(), unlikely), candidates.end());
}

int32_t most_likely(std::span<const float> logits) {
  // As Backend::argmax: NaNs are passed over, the lowest id wins among equals.
  float largest = -std::numeric_limits<float>::infinity();
  size_t best = logits.size();
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool first = best == logits.size() && logits[i] == largest;
    if (!(logits[i] > largest) && !first) continue;
    largest = logits[i];
    best = i;
  }
  return best == logits.size() ? 0 : static_cast<int32_t>(best);
}

int32_t choose(const SamplingParams& params, std::span<const float> logits, uint32_t position) {
  if (params.temperature <= 0.0F) return most_likely(logits);
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    // A forbidden token (-infinity) and NaN never become candidates.
    if (logits[i] > -std::numeric_limits<float>::infinity())
      candidates.push_back({static_cast<int32_t>(i), logits[i]});
  }
  if (candidates.empty()) return most_likely(logits);
  keep_best(candidates, params.top_k > 0 ? static_cast<size_t>(params.top_k) : candidates.size());
  if (params.top_p < 1.0F) keep_top_p(candidates, static_cast<double>(params.top_p));
  if (params.min_p > 0.0F) keep_min_p(candidates, static_cast<double>(params.min_p));

  int32_t chosen = candidates.front().token;
  double largest = -std::numeric_limits<double>::infinity();
  for (const Candidate& c : candidates) {
    const double u = draw_uniform(params.seed, params.choice, position, static_cast<uint32_t>(c.token));
    const double noise = -log_f64(-log_f64(u));
    const double value = static_cast<double>(c.logit) / static_cast<double>(params.temperature) + noise;
    if (value > largest || (value == largest && c.token < chosen)) {
      largest = value;
      chosen = c.token;
    }
  }
  return chosen;
}

Status refuse(const char* name, const char* expected, double found) {
  return make_error(Errc::usage, "{}: expected {}, found {}", name, expected, found);
}

}  // namespace

Status check_sampling(const SamplingParams& p, size_t vocab_size) {
  const auto finite = [](float x) { return std::isfinite(x); };
  if (!finite(p.temperature)) return refuse("temperature", "a number", static_cast<double>(p.temperature));
  if (p.top_k < -1) return refuse("top_k", "-1 or more", p.top_k);
  if (!(p.top_p > 0 && p.top_p <= 1))
    return refuse("top_p", "above 0, up to 1", static_cast<double>(p.top_p));
  if (!(p.min_p >= 0 && p.min_p <= 1)) return refuse("min_p", "0 to 1", static_cast<double>(p.min_p));
  if (!finite(p.repeat_penalty) || p.repeat_penalty <= 0) {
    return refuse("repeat_penalty", "above 0", static_cast<double>(p.repeat_penalty));
  }
  if (!finite(p.presence_penalty))
    return refuse("presence_penalty", "a number", static_cast<double>(p.presence_penalty));
  if (!finite(p.frequency_penalty))
    return refuse("frequency_penalty", "a number", static_cast<double>(p.frequency_penalty));
  if (p.penalty_last_n < -1) return refuse("penalty_last_n", "-1 or more", p.penalty_last_n);
  if (p.n_top_logprobs > vocab_size)
    return refuse("top_logprobs", "at most the vocabulary", p.n_top_logprobs);
  for (const auto& [token, bias] : p.logit_bias) {
    if (token < 0 || static_cast<size_t>(token) >= vocab_size)
      return refuse("logit_bias", "a token of the vocabulary", token);
    if (std::isnan(bias) || bias == std::numeric_limits<float>::infinity()) {
      return refuse("logit_bias", "a number or -infinity", static_cast<double>(bias));
    }
  }
  return {};
}

bool is_plain_argmax(const SamplingParams& p) {
  return p.temperature <= 0 && p.logit_bias.empty() && p.repeat_penalty == 1.0F &&
         p.presence_penalty == 0.0F && p.frequency_penalty == 0.0F && !p.logprobs;
}

Draw draw(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
          uint32_t position, double log_sum_exp) {
  Draw out;
  const auto logprob = [&](float logit) { return static_cast<double>(logit) - log_sum_exp; };
  std::vector<float> raw;
  if (params.logprobs) {
    raw.assign(logits.begin(), logits.end());
    std::vector<Candidate> all;
    for (size_t i = 0; params.n_top_logprobs > 0 && i < logits.size(); ++i) {
      // NaN has no place in an order.
      if (!std::isnan(logits[i])) all.push_back({static_cast<int32_t>(i), logits[i]});
    }
    keep_best(all, params.n_top_logprobs);
    for (const Candidate& c : all) out.top.push_back({c.token, logprob(c.logit)});
  }
  apply_bias_and_penalties(params, logits, history);
  out.token = choose(params, logits, position);
  if (params.logprobs) out.logprob = logprob(raw[static_cast<size_t>(out.token)]);
  return out;
}

double draw_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t token) {
  uint32_t c[4] = {choice, position, token, 0};
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    std::copy(next, next + 4, c);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  const uint64_t bits = (uint64_t{c[0]} << 32 | c[1]) >> 12;  // 52 bits, so that the half below is exact
  return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

}  // namespace headrace
