#include "decode/rejection.h"

#include <algorithm>
#include <limits>

#include "ops/elementary.h"

namespace headrace {
namespace {

double probability_of(std::span<const TokenProbability> distribution, int32_t token) {
  const auto at = std::ranges::lower_bound(distribution, token, {}, &TokenProbability::token);
  return at != distribution.end() && at->token == token ? at->probability : 0;
}

// max(0, p - q), scaled; p itself where rounding has left nothing of it.
void subtract(std::vector<TokenProbability>& p, std::span<const TokenProbability> q) {
  double total = 0;
  const auto left = [&](const TokenProbability& of) {
    return std::max(0.0, of.probability - probability_of(q, of.token));
  };
  for (const TokenProbability& of : p) total += left(of);
  if (total <= 0) return;
  for (TokenProbability& of : p) of.probability = left(of) / total;
}

}  // namespace

void DraftOdds::reserve(size_t nodes, size_t candidates) {
  all_.reserve(nodes * candidates);
  ends_.reserve(nodes);
}

void DraftOdds::clear() {
  all_.clear();
  ends_.clear();
}

void DraftOdds::add(std::span<const TokenProbability> distribution) {
  all_.insert(all_.end(), distribution.begin(), distribution.end());
  ends_.push_back(all_.size());
}

std::span<const TokenProbability> DraftOdds::of(uint32_t node) const {
  if (node >= ends_.size()) return {};
  const size_t begin = node == 0 ? 0 : ends_[node - 1];
  return std::span(all_).subspan(begin, ends_[node] - begin);
}

int32_t draw_from(std::span<const TokenProbability> distribution, const SamplingParams& params,
                  uint32_t position, DrawStream stream) {
  int32_t chosen = distribution.front().token;
  double largest = -std::numeric_limits<double>::infinity();
  for (const TokenProbability& of : distribution) {
    if (of.probability <= 0) continue;
    const double u =
        draw_uniform(params.seed, params.choice, position, static_cast<uint32_t>(of.token), stream);
    const double value = log_f64(of.probability) - log_f64(-log_f64(u));
    if (value <= largest) continue;
    largest = value;
    chosen = of.token;
  }
  return chosen;
}

int32_t draw_by_rejection(const Draft& draft, const DraftOdds& odds, int32_t at, const SamplingParams& params,
                          uint32_t position, std::vector<TokenProbability>& target) {
  uint32_t tried = 0;
  for (uint32_t i = 0; i < draft.size(); ++i) {
    const Draft::Node& node = draft.node(i);
    if (node.parent != at) continue;
    const TokenProbability certain[] = {{node.token, 1}};
    std::span<const TokenProbability> drawn_from = odds.of(i);
    HEADRACE_CHECK(tried == 0 || drawn_from.empty());
    if (drawn_from.empty()) drawn_from = certain;
    const double u = draw_uniform(params.seed, params.choice, position, tried++, DrawStream::accept);
    if (u * probability_of(drawn_from, node.token) < probability_of(target, node.token)) return node.token;
    subtract(target, drawn_from);
  }
  return tried == 0 ? draw_from(target, params, position, DrawStream::token)
                    : draw_from(target, params, position, DrawStream::residual);
}

}  // namespace headrace
