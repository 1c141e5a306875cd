// Which rows the next step runs: a pure function from a snapshot of the running sequences to a plan.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headrace {

/// A running sequence: `known` tokens are there, of which `computed` are in the KV cache.
struct SequenceView {
  uint32_t known = 0;
  uint32_t computed = 0;
};

/// `count` tokens of sequence `index` (in the snapshot's order), beginning at its `computed`.
struct StepChunk {
  uint32_t index = 0;
  uint32_t count = 0;
};

/// Decode first: a sequence that lacks one token gets its row before any prompt is continued, so that a long
/// prompt never stalls an answer. The rest of the `max_rows` goes to prompts in the snapshot's order. Chunks
/// are in the snapshot's order; sequences with nothing to compute have none.
std::vector<StepChunk> plan_step(std::span<const SequenceView> running, uint32_t max_rows);

}  // namespace headrace
