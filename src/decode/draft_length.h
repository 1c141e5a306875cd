// How much of a draft is worth checking. A row that checks a token costs time whether the token is right or
// not; where steps wait for memory it is nearly free, where they wait for arithmetic it is not. So nodes are
// taken, likeliest first, as long as the work that a step gets done a second rises:
//
//   (rows + sum of P(node)) / seconds(rows + nodes)
//
// rows: those that the step has anyway, each worth one. P(node): that all tokens from the text to the node
// are right. Nothing is taken where nothing pays (papers: batch speculative decoding, section 7).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "decode/draft.h"

namespace headrace {

/// Seconds that a step takes by its rows: measured at a few numbers of rows, straight lines between them,
/// and kept in step with what steps take from then on.
class StepCost {
 public:
  /// `rows` ascend.
  void add_point(uint32_t rows, double seconds);
  bool known() const { return !points_.empty(); }
  double seconds(uint64_t rows) const;
  /// A step that was measured while the engine worked.
  void observe(uint64_t rows, double seconds);

  /// Mean of |predicted / measured - 1| over the observed steps, and their number.
  double mean_error() const { return observed_ == 0 ? 0 : error_sum_ / static_cast<double>(observed_); }
  uint64_t observed() const { return observed_; }

 private:
  struct Point {
    uint32_t rows;
    double seconds;
  };
  double at(uint64_t rows) const;

  std::vector<Point> points_;
  double scale_ = 1;  // of all points: contexts grow, the machine gets busy
  double error_sum_ = 0;
  uint64_t observed_ = 0;
};

/// How often tokens of each trust class are right, given that those before them are.
class Acceptance {
 public:
  double rate(uint8_t trust, const Acceptance* prior = nullptr) const;
  void observe(uint8_t trust, bool accepted);
  /// Of all tokens together.
  double mean_rate(const Acceptance* prior = nullptr) const;

 private:
  struct Count {
    float accepted = 0;
    float tried = 0;
    void add(bool right);
    double rate(double weight, double expected) const;
  };
  std::array<Count, kTrustClasses> counts_ = {};
  Count all_;
};

/// A sequence's draft in choose_nodes().
struct DraftCandidate {
  Draft* draft = nullptr;
  const Acceptance* own = nullptr;     // of this sequence
  const Acceptance* pooled = nullptr;  // of all drafts by the same drafter
  uint32_t least = 0;                  // so many nodes stay, whatever they are worth
};

/// What choose_nodes() writes down.
struct NodeRank {
  double probability;
  uint32_t candidate;
  uint32_t node;
};
/// Cuts drafts down to what is worth its rows in a step that has `rows` others. Takes nothing from the heap
/// once `scratch` has grown.
void choose_nodes(std::span<const DraftCandidate> candidates, const StepCost& cost, uint64_t rows,
                  std::vector<NodeRank>& scratch);

/// Tokens that a draft is expected to bring.
double expected_tokens(const DraftCandidate& candidate);

/// How likely a token must be right, those before it too, to be worth being made and checked: where one more
/// for each of `sequences` takes `draft_seconds` to make, in a step that has `rows` rows besides.
double least_worth_drafting(const StepCost& cost, uint64_t rows, uint64_t sequences, double draft_seconds);

}  // namespace headrace
