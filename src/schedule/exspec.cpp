#include "schedule/exspec.h"

#include <algorithm>

namespace headrace {

// The first length in line of which `batch_` sequences are there; otherwise the first in line, whatever their
// lengths: that is where a rectangle would have to be padded anew.
void ExspecPool::plan(const Snapshot& now, StepPlan& plan) const {
  ContinuousBatching().plan(now, plan);
  // While pages are given up everybody who may goes on.
  if (!plan.preempt.empty()) return;
  const auto decodes = [&](const StepChunk& chunk) {
    const RunningView& r = now.running[chunk.index];
    return r.known == r.computed + 1;
  };
  std::vector<uint32_t>& line = plan.notes.line;
  line.clear();
  for (const StepChunk& chunk : plan.running) {
    if (decodes(chunk)) line.push_back(chunk.index);
  }
  std::ranges::sort(line, {}, [&](uint32_t i) { return now.running[i].place; });
  const auto length = [&](uint32_t i) { return now.running[i].known; };
  const auto first_full = [&]() -> uint32_t {
    for (size_t end = 1; end <= line.size(); ++end) {
      const uint32_t wanted = length(line[end - 1]);
      const auto equal = std::count_if(line.begin(), line.begin() + static_cast<ptrdiff_t>(end),
                                       [&](uint32_t i) { return length(i) == wanted; });
      if (equal == batch_) return wanted;
    }
    return 0;
  }();
  if (first_full != 0) std::erase_if(line, [&](uint32_t i) { return length(i) != first_full; });
  if (line.size() > batch_) line.resize(batch_);
  std::erase_if(plan.running, [&](const StepChunk& chunk) {
    return decodes(chunk) && std::ranges::find(line, chunk.index) == line.end();
  });
}

}  // namespace headrace
