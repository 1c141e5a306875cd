#include "engine/measure_steps.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(StepRunner& runner, StateStore& store, std::span<const Row> rows,
                  std::span<int32_t> tokens) {
  const Clock::time_point begin = Clock::now();
  runner.run(store, rows, nullptr);
  for (size_t first = 0; first < rows.size(); first += runner.max_outputs()) {
    const size_t count = std::min<size_t>(runner.max_outputs(), rows.size() - first);
    runner.project(first, count);
    runner.argmax(tokens.first(count));
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

void measure_steps(StepRunner& runner, StateStore& store, SequenceId sequence, uint32_t most,
                   const std::atomic<bool>* interrupt, StepCost& cost) {
  constexpr uint32_t kPoints[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64};
  std::vector<Row> rows;
  std::vector<int32_t> tokens(runner.max_outputs());
  for (const uint32_t count : kPoints) {
    if (count > most || !store.reserve(sequence, count)) return;
    if (interrupt != nullptr && interrupt->load()) return;
    while (rows.size() < count) {
      const auto p = static_cast<uint32_t>(rows.size());
      rows.push_back({.sequence = sequence, .position = p, .slot = p, .outputs = kLogits});
    }
    if (!cost.known()) seconds_of(runner, store, rows, tokens);  // what is cold now is not later
    const double first = seconds_of(runner, store, rows, tokens);
    cost.add_point(count, std::min(first, seconds_of(runner, store, rows, tokens)));
  }
}

}  // namespace headrace
