#include "decode/draft_length.h"

#include <algorithm>
#include <cmath>

namespace headrace {
namespace {

// What one step moves the estimates: noise of single steps evens out, a change shows within some dozens.
constexpr double kScaleStep = 0.05;
constexpr double kPointStep = 0.05;
constexpr double kMostSurprise = 2;  // a step that took longer was interrupted by something else

// Trials that a prior counts for, and those after which older ones have faded to a third.
constexpr double kPooledPrior = 4;
constexpr double kOwnPrior = 6;
constexpr float kMemory = 256;
constexpr double kUnknownRate = 0.5;

}  // namespace

// --- cost -------------------------------------------------------------------------------------------------

void StepCost::add_point(uint32_t rows, double seconds) {
  HEADRACE_CHECK(rows > 0 && seconds > 0 && (points_.empty() || rows > points_.back().rows));
  // More rows never take less: what was measured otherwise is noise.
  points_.push_back({rows, points_.empty() ? seconds : std::max(seconds, points_.back().seconds)});
}

double StepCost::at(uint64_t rows) const {
  HEADRACE_CHECK(known());
  const auto x = static_cast<double>(rows);
  const auto above = std::ranges::find_if(points_, [&](const Point& p) { return p.rows >= rows; });
  if (above == points_.begin()) return above->seconds;
  if (above == points_.end()) {  // in proportion
    return points_.back().seconds * x / static_cast<double>(points_.back().rows);
  }
  const Point& below = *(above - 1);
  const double part = (x - below.rows) / (above->rows - below.rows);
  return below.seconds + part * (above->seconds - below.seconds);
}

double StepCost::seconds(uint64_t rows) const {
  return scale_ * at(rows);
}

void StepCost::observe(uint64_t rows, double measured) {
  if (!known() || measured <= 0) return;
  const double predicted = seconds(rows);
  error_sum_ += std::abs(predicted / measured - 1);
  ++observed_;
  const double surprise = std::clamp(measured / predicted, 1 / kMostSurprise, kMostSurprise);
  scale_ *= std::pow(surprise, kScaleStep);
  for (Point& point : points_) {
    if (point.rows == rows) point.seconds *= std::pow(surprise, kPointStep);
  }
}

// --- acceptance -------------------------------------------------------------------------------------------

void Acceptance::Count::add(bool right) {
  tried += 1;
  accepted += right ? 1.0F : 0.0F;
  if (tried <= kMemory) return;
  accepted *= kMemory / tried;
  tried = kMemory;
}

double Acceptance::Count::rate(double weight, double expected) const {
  return (accepted + weight * expected) / (tried + weight);
}

double Acceptance::rate(uint8_t trust, const Acceptance* prior) const {
  const double weight = prior == nullptr ? kPooledPrior : kOwnPrior;
  return counts_[trust].rate(weight, prior == nullptr ? kUnknownRate : prior->rate(trust));
}

void Acceptance::observe(uint8_t trust, bool accepted) {
  counts_[trust].add(accepted);
  all_.add(accepted);
}

double Acceptance::mean_rate(const Acceptance* prior) const {
  const double weight = prior == nullptr ? kPooledPrior : kOwnPrior;
  return all_.rate(weight, prior == nullptr ? kUnknownRate : prior->mean_rate());
}

// --- the choice -------------------------------------------------------------------------------------------

namespace {

// Visits each node with the probability that the text comes to it.
template <typename F>
void for_each_node(const DraftCandidate& candidate, F visit) {
  std::array<double, kMaxDraftNodes> reached = {};
  for (uint32_t i = 0; i < candidate.draft->size(); ++i) {
    const Draft::Node& node = candidate.draft->node(i);
    const double before = node.parent == Draft::kText ? 1 : reached[static_cast<size_t>(node.parent)];
    reached[i] = before * candidate.own->rate(node.trust, candidate.pooled);
    visit(i, reached[i]);
  }
}

}  // namespace

double expected_tokens(const DraftCandidate& candidate) {
  double sum = 0;
  for_each_node(candidate, [&](uint32_t, double probability) { sum += probability; });
  return sum;
}

void choose_nodes(std::span<const DraftCandidate> candidates, const StepCost& cost, uint64_t rows,
                  std::vector<NodeRank>& scratch) {
  scratch.clear();
  for (uint32_t c = 0; c < candidates.size(); ++c) {
    for_each_node(candidates[c], [&](uint32_t node, double probability) {
      scratch.push_back({probability, c, node});
    });
  }
  // Parents come before their children: their probability is no smaller, their index is.
  std::ranges::sort(scratch, [](const NodeRank& a, const NodeRank& b) {
    if (a.probability != b.probability) return a.probability > b.probability;
    return a.candidate != b.candidate ? a.candidate < b.candidate : a.node < b.node;
  });
  auto work = static_cast<double>(rows);
  double best = work / cost.seconds(std::max<uint64_t>(rows, 1));
  size_t taken = 0;
  for (size_t n = 1; n <= scratch.size(); ++n) {
    work += scratch[n - 1].probability;
    const double goodput = work / cost.seconds(rows + n);
    if (goodput <= best) continue;
    best = goodput;
    taken = n;
  }
  std::sort(scratch.begin(), scratch.begin() + static_cast<ptrdiff_t>(taken),
            [](const NodeRank& a, const NodeRank& b) {
              return a.candidate != b.candidate ? a.candidate < b.candidate : a.node < b.node;
            });
  size_t next = 0;
  for (uint32_t c = 0; c < candidates.size(); ++c) {
    uint64_t keep = (uint64_t{1} << candidates[c].least) - 1;
    for (; next < taken && scratch[next].candidate == c; ++next) keep |= uint64_t{1} << scratch[next].node;
    candidates[c].draft->keep(keep);
  }
}

double least_worth_drafting(const StepCost& cost, uint64_t rows, uint64_t sequences, double draft_seconds) {
  rows = std::max<uint64_t>(rows, 1);
  const double without = cost.seconds(rows);
  const double more = cost.seconds(rows + sequences) - without + draft_seconds;
  return more / static_cast<double>(sequences) / (without / static_cast<double>(rows));
}

}  // namespace headrace
