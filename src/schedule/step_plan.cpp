#include "schedule/step_plan.h"

#include <algorithm>

namespace headrace {

std::vector<StepChunk> plan_step(std::span<const SequenceView> running, uint32_t max_rows) {
  uint32_t rows_for_decode = 0;
  for (const SequenceView& s : running) rows_for_decode += s.known - s.computed == 1 ? 1 : 0;
  uint32_t left_for_decode = std::min(rows_for_decode, max_rows);
  uint32_t left_for_prompts = max_rows - left_for_decode;

  std::vector<StepChunk> plan;
  for (uint32_t i = 0; i < running.size(); ++i) {
    const uint32_t missing = running[i].known - running[i].computed;
    uint32_t& left = missing == 1 ? left_for_decode : left_for_prompts;
    const uint32_t count = std::min(missing, left);
    if (count == 0) continue;
    left -= count;
    plan.push_back({i, count});
  }
  return plan;
}

}  // namespace headrace
