// What steps of this model take on this machine, by their rows.
#pragma once

#include "cache/state_store.h"
#include "decode/draft_length.h"
#include "engine/step_runner.h"

namespace headrace {

/// Runs steps of a made-up text, 1 to `most` rows with an output each, and adds what they took to `cost`: the
/// better of two each. `sequence` is empty and has nothing committed afterwards. Ends early where there are
/// no pages, or once `interrupt` (may be null) is true.
void measure_steps(StepRunner& runner, StateStore& store, SequenceId sequence, uint32_t most,
                   const std::atomic<bool>* interrupt, StepCost& cost);

}  // namespace headrace
