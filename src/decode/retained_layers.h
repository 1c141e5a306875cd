// Which layers a step runs where it may leave some out: an evenly spaced set that keeps the first and the
// last (papers: Unified Layer Skipping, section 2.1).
#pragma once

#include <cstdint>
#include <vector>

namespace headrace {

/// The paper's rule for an integer speedup T: layers / T layers, the inner ones at multiples of one step.
/// True at [l] if layer l runs. T of 1 keeps all; so few layers that less than two would be left keep two.
std::vector<bool> retained_layers(uint32_t layers, uint32_t speedup);

}  // namespace headrace
