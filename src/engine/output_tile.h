// Rows whose logits were asked for, and the tokens that are drawn from them.
#pragma once

#include <array>
#include <span>

#include "decode/draw_scratch.h"
#include "engine/speculation.h"
#include "engine/step_runner.h"

namespace headrace {

/// Rows that are projected to the vocabulary at once, at most: few enough that logits of a 256k vocabulary
/// stay small.
inline constexpr uint32_t kMaxLogitRows = 64;

/// A row whose hidden state is wanted, and for what.
struct Output {
  Choice* choice = nullptr;
  uint32_t position = 0;        // of the token that follows the row
  bool score = false;           // that token is known: report its log-probability
  int32_t node = Draft::kText;  // of the choice's draft, or the last token of its text
};

/// The outputs that `runner` projected last. Greedy rows take the argmax op, most drawn ones the op of the
/// best logits; only what needs a whole row of logits brings one to the host.
class OutputTile {
 public:
  /// At most kMaxLogitRows; `speculation` may be null. All arguments outlive it.
  OutputTile(StepRunner& runner, DrawScratch& scratch, const Speculation* speculation,
             std::span<const Output> outputs);

  /// The token after row `i`, which is not scored.
  Draw draw(size_t i);
  double logprob(size_t i, int32_t token) const;

 private:
  StepRunner& runner_;
  DrawScratch& scratch_;
  const Speculation* speculation_;
  std::span<const Output> outputs_;
  std::array<int32_t, kMaxLogitRows> likeliest_;
  std::array<double, kMaxLogitRows> sums_;
  std::array<uint32_t, kMaxLogitRows> wanted_;  // of a row's best logits
};

}  // namespace headrace
