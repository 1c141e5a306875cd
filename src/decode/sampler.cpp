#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "decode/adjustments.h"
#include "decode/draw_scratch.h"
#include "ops/backend.h"
#include "ops/elementary.h"

namespace headrace {
namespace {

// Best first; equal logits by token id, so that the order is total.
bool better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

// Fills `best` with the k best of those that `accept` takes, best first.
template <typename F>
void find_best(std::span<const float> logits, size_t k, F accept, std::vector<Candidate>& best) {
  best.clear();
  if (k == 0) return;
  // A heap with the worst at its root is fast while few tokens pass it; many are cheaper to sort at once.
  constexpr size_t kHeap = 1024;
  const size_t room = k <= kHeap ? std::min(k, logits.size()) : logits.size();
  size_t i = 0;
  for (; i < logits.size() && best.size() < room; ++i) {
    if (accept(logits[i])) best.push_back({static_cast<int32_t>(i), logits[i]});
  }
  if (i < logits.size()) {
    std::make_heap(best.begin(), best.end(), better);
    for (; i < logits.size(); ++i) {
      if (!(logits[i] > best.front().logit)) continue;  // NaN, or an equal with a higher id
      std::pop_heap(best.begin(), best.end(), better);
      best.back() = {static_cast<int32_t>(i), logits[i]};
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort(best.begin(), best.end(), better);
  if (best.size() > k) best.resize(k);
}

// `candidates` is sorted. Keeps the shortest prefix whose probability (among the candidates) reaches p.
void keep_top_p(std::vector<Candidate>& candidates, double p, std::vector<double>& weights) {
  const double best = static_cast<double>(candidates.front().logit);
  weights.clear();
  double total = 0;
  for (const Candidate& c : candidates) {
    weights.push_back(exp_f64(static_cast<double>(c.logit) - best));
    total += weights.back();
  }
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += weights[i];
    if (sum >= p * total) {
      candidates.resize(i + 1);
      return;
    }
  }
}

void keep_min_p(std::vector<Candidate>& candidates, double min_p) {
  const Candidate best = *std::min_element(candidates.begin(), candidates.end(), better);
  const double least = static_cast<double>(best.logit) + log_f64(min_p);
  std::erase_if(candidates, [&](const Candidate& c) { return static_cast<double>(c.logit) < least; });
}

int32_t most_likely(std::span<const float> logits) {
  // As Backend::argmax: NaNs are passed over, the lowest id wins among equals.
  float largest = kForbidden;
  size_t best = logits.size();
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool first = best == logits.size() && logits[i] == largest;
    if (!(logits[i] > largest) && !first) continue;
    largest = logits[i];
    best = i;
  }
  return best == logits.size() ? 0 : static_cast<int32_t>(best);
}

// The scratch's candidates are not empty; sorted if the request has a top-k or a top-p.
void filter_candidates(const SamplingParams& params, DrawScratch& scratch) {
  std::vector<Candidate>& candidates = scratch.candidates;
  if (params.top_p < 1.0F) keep_top_p(candidates, static_cast<double>(params.top_p), scratch.weights);
  if (params.min_p > 0.0F) keep_min_p(candidates, static_cast<double>(params.min_p));
}

int32_t choose_among_candidates(const SamplingParams& params, uint32_t position, DrawScratch& scratch) {
  filter_candidates(params, scratch);
  const std::vector<Candidate>& candidates = scratch.candidates;
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

// Fills the scratch's candidates, not filtered yet.
void find_candidates(const SamplingParams& params, std::span<const float> logits, DrawScratch& scratch) {
  // A forbidden token (-infinity) and NaN never become candidates.
  const auto allowed = [](float logit) { return logit > kForbidden; };
  std::vector<Candidate>& candidates = scratch.candidates;
  if (params.top_k > 0) {
    find_best(logits, static_cast<size_t>(params.top_k), allowed, candidates);
  } else if (params.top_p < 1.0F) {
    find_best(logits, logits.size(), allowed, candidates);
  } else {
    candidates.clear();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (allowed(logits[i])) candidates.push_back({static_cast<int32_t>(i), logits[i]});
    }
  }
}

int32_t choose(const SamplingParams& params, std::span<const float> logits, uint32_t position,
               DrawScratch& scratch) {
  if (params.temperature <= 0.0F) return most_likely(logits);
  find_candidates(params, logits, scratch);
  return scratch.candidates.empty() ? most_likely(logits)
                                    : choose_among_candidates(params, position, scratch);
}

// Bias and penalties; what they change stands in scratch.raw as it was.
void adjust(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
            DrawScratch& scratch) {
  Adjustments& adjustments = scratch.adjustments;
  adjustments.set(params, history);
  scratch.raw.clear();
  for (const int32_t token : adjustments.tokens()) {
    float& logit = logits[static_cast<size_t>(token)];
    scratch.raw.push_back(logit);
    logit = adjustments.apply(token, logit);
  }
}

// `choose` adjusts the logits and says which token it is; the report is of the raw ones.
template <typename Choose>
Draw draw_and_report(const SamplingParams& params, std::span<float> logits, double log_sum_exp,
                     DrawScratch& scratch, Choose choose_token) {
  Draw out;
  const auto logprob = [&](float logit) { return static_cast<double>(logit) - log_sum_exp; };
  if (params.logprobs) {
    const auto ordered = [](float logit) { return !std::isnan(logit); };  // NaN has no place in an order
    find_best(logits, params.n_top_logprobs, ordered, scratch.candidates);
    if (!scratch.candidates.empty()) out.top = scratch.take_list();
    for (const Candidate& c : scratch.candidates) out.top.push_back({c.token, logprob(c.logit)});
  }
  out.token = choose_token();
  if (params.logprobs) {
    const std::vector<float>& raw = scratch.raw;
    const auto& tokens = scratch.adjustments.tokens();
    const auto at = std::lower_bound(tokens.begin(), tokens.end(), out.token);
    const bool adjusted = at != tokens.end() && *at == out.token;
    out.logprob = logprob(adjusted ? raw[static_cast<size_t>(at - tokens.begin())]
                                   : logits[static_cast<size_t>(out.token)]);
  }
  return out;
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

int32_t draw_token(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
                   uint32_t position, DrawScratch& scratch) {
  adjust(params, logits, history, scratch);
  return choose(params, logits, position, scratch);
}

Draw draw(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
          uint32_t position, double log_sum_exp, DrawScratch& scratch) {
  return draw_and_report(params, logits, log_sum_exp, scratch,
                         [&] { return draw_token(params, logits, history, position, scratch); });
}

void draw_distribution(const SamplingParams& params, std::span<float> logits,
                       std::span<const int32_t> history, DrawScratch& scratch,
                       std::vector<TokenProbability>& out) {
  adjust(params, logits, history, scratch);
  out.clear();
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  if (params.temperature > 0.0F) find_candidates(params, logits, scratch);
  if (candidates.empty()) {
    out.push_back({most_likely(logits), 1});
    return;
  }
  filter_candidates(params, scratch);
  std::ranges::sort(candidates, {}, &Candidate::token);
  const double best =
      static_cast<double>(std::min_element(candidates.begin(), candidates.end(), better)->logit);
  const auto temperature = static_cast<double>(params.temperature);
  double total = 0;
  for (const Candidate& c : candidates) {
    out.push_back({c.token, exp_f64((static_cast<double>(c.logit) - best) / temperature)});
    total += out.back().probability;
  }
  for (TokenProbability& p : out) p.probability /= total;
}

Draw draw_by(const SamplingParams& params, std::span<float> logits, std::span<const int32_t> history,
             double log_sum_exp, DrawScratch& scratch,
             const std::function<int32_t(std::vector<TokenProbability>& from)>& choose_token) {
  return draw_and_report(params, logits, log_sum_exp, scratch, [&] {
    draw_distribution(params, logits, history, scratch, scratch.distribution);
    return choose_token(scratch.distribution);
  });
}

uint32_t top_k_wanted(const SamplingParams& p, size_t history) {
  const bool greedy = p.temperature <= 0.0F;
  if (!greedy && p.top_k <= 0) return 0;
  size_t wanted = greedy ? 1 : static_cast<size_t>(p.top_k);
  // What is only ever lowered needs no logit from beyond the best (docs/numerics.md, "Drawing"). Tokens that
  // may rise would have to be fetched one by one: such requests are rare.
  if (!only_lowers(p)) return 0;
  wanted += p.logit_bias.size() + recent_tokens(p, history);
  if (p.logprobs) wanted = std::max<size_t>(wanted, p.n_top_logprobs);
  return wanted <= kMaxTopK ? static_cast<uint32_t>(wanted) : 0;
}

std::optional<Draw> draw_from_top_k(const SamplingParams& params, std::span<const int32_t> ids,
                                    std::span<const float> values, std::span<const int32_t> history,
                                    uint32_t position, double log_sum_exp, DrawScratch& scratch) {
  const size_t wanted = top_k_wanted(params, history.size());
  if (wanted == 0) return std::nullopt;
  HEADRACE_CHECK(ids.size() >= wanted && values.size() >= wanted);
  const size_t found = static_cast<size_t>(std::find(ids.begin(), ids.begin() + wanted, -1) - ids.begin());
  const auto logprob = [&](size_t i) { return static_cast<double>(values[i]) - log_sum_exp; };
  // draw() reports -infinity too, which is not among the best.
  if (params.logprobs && found < params.n_top_logprobs) return std::nullopt;
  Adjustments& adjustments = scratch.adjustments;
  adjustments.set(params, history);
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  for (size_t i = 0; i < found; ++i) {
    const float logit = adjustments.apply(ids[i], values[i]);
    if (logit > kForbidden) candidates.push_back({ids[i], logit});
  }
  if (candidates.empty()) return std::nullopt;
  if (!adjustments.tokens().empty()) std::sort(candidates.begin(), candidates.end(), better);
  const bool greedy = params.temperature <= 0.0F;
  const size_t k = greedy ? 1 : static_cast<size_t>(params.top_k);
  if (candidates.size() > k) candidates.resize(k);
  Draw out;
  out.token = greedy ? candidates.front().token : choose_among_candidates(params, position, scratch);
  if (params.logprobs) {
    if (params.n_top_logprobs > 0) out.top = scratch.take_list();
    for (size_t i = 0; i < params.n_top_logprobs; ++i) out.top.push_back({ids[i], logprob(i)});
    out.logprob = logprob(static_cast<size_t>(std::find(ids.begin(), ids.end(), out.token) - ids.begin()));
  }
  return out;
}

double draw_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t token, DrawStream stream) {
  uint32_t c[4] = {choice, position, token, static_cast<uint32_t>(stream)};
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
