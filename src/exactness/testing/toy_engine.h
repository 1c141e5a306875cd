// An engine without arithmetic, into which faults can be planted: what exactness.h is tested with.
//
// Hidden states are hashes of what a row sees: its token, its position, and what the pages hold at the
// positions before it. So anything that a real engine could confuse shows, and a trial takes microseconds.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace headrace::testing {

enum class ToyFault : uint8_t {
  none,
  rows_256,         // steps of 256 rows and more
  position_512,     // rows at multiples of 512 that are not a prompt's first chunk
  reuse_by_one,     // a reused prefix is said to be one token longer than it is
  stale_page,       // a page keeps its first token from the third sequence on that it is given to
  draw_by_index,    // the draw is keyed by the place in the batch
  batch_norm,       // layer 1 depends on whether there are other rows
  order_of_two,     // two threads add in another order
  other_type,       // what comes from the cache has lost a bit
  preempted_token,  // the last token before a preemption is computed again at the wrong position
  window_wide,      // the window is too large by one, everywhere
  window_narrow,    // and too small
  window_retires,   // a page is retired one token too early
  lost_end,         // a cancelled request never ends
  page_leak,        // preemption keeps a page
};

struct ToyModelOptions {
  uint32_t window = 0;  // of layer 0
  uint32_t context_length = 32768;
};

/// Has 3 layers and 500 tokens; computes nothing.
std::unique_ptr<Model> toy_model(const ToyModelOptions& options = {});

std::unique_ptr<Engine> toy_engine(std::unique_ptr<Model> model, const EngineOptions& options,
                                   ToyFault fault = ToyFault::none);

}  // namespace headrace::testing
