// EXSPEC's pool as a policy (papers: batch speculative decoding, 2.5): of a window of sequences those of
// equal length are decoded together, so that a rectangular batch would need no padding.
//
// The ragged engine needs no such thing; this is here so that the paper's schedule can be measured beside its
// own. Prompts are read and pages given out as continuous batching does; of the answers only one group goes
// on in a step.
#pragma once

#include "schedule/admission.h"

namespace headrace {

class ExspecPool final : public AdmissionPolicy {
 public:
  /// `batch`: sequences that are decoded together. The window is Snapshot::max_sequences.
  explicit ExspecPool(uint32_t batch) : batch_(batch) {}

  std::string_view name() const override { return "exspec"; }
  using AdmissionPolicy::plan;
  void plan(const Snapshot& now, StepPlan& plan) const override;

 private:
  uint32_t batch_;
};

}  // namespace headrace
