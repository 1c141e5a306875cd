// The requests of one trial of exactness.h, and the ends that the engine owes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace headrace::exactness {

/// Steps in which cancelled requests must be gone.
inline constexpr uint64_t kRestSteps = 1000;

inline bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load();
}

class Requests {
 public:
  explicit Requests(Engine& engine) : engine_(engine) {}

  Result<RequestId> submit(Request request) {
    const uint32_t n = request.n;
    work_ += uint64_t{n} * (request.prompt.size() + request.max_new_tokens);
    HEADRACE_TRY(const RequestId id, engine_.submit(std::move(request)));
    owed_[id] = n;
    return id;
  }

  /// Runs a step and appends its events. Anything wrong with them is noted.
  void step(std::vector<Event>& events) {
    events.clear();
    engine_.step(events);
    ++steps_;
    for (const Event& event : events) {
      const auto request = owed_.find(event.request);
      if (request == owed_.end() || request->second == 0) {
        note(fmt::format("an event of request {}, which is not running", event.request));
      } else if (event.finished != FinishReason::none) {
        --request->second;
      }
    }
  }

  /// Cancels everything and steps until nothing is left. False if something stays.
  bool come_to_rest() {
    for (const auto& [id, owed] : owed_)
      if (owed > 0) engine_.cancel(id);
    std::vector<Event> events;
    for (uint64_t i = 0; i < kRestSteps && !engine_.idle(); ++i) step(events);
    if (!engine_.idle()) return false;
    for (const auto& [id, owed] : owed_)
      if (owed > 0) note(fmt::format("request {} never ended", id));
    return true;
  }

  bool running(RequestId id) const {
    const auto request = owed_.find(id);
    return request != owed_.end() && request->second > 0;
  }
  void cancel(RequestId id) { engine_.cancel(id); }
  /// Each step runs a row at least, and preemption makes some run again; more steps than this mean that the
  /// engine is stuck.
  uint64_t most_steps() const { return kRestSteps + 20 * work_; }
  uint64_t steps() const { return steps_; }
  const std::optional<std::string>& wrong() const { return wrong_; }

 private:
  void note(std::string what) {
    if (!wrong_) wrong_ = std::move(what);
  }

  Engine& engine_;
  std::map<RequestId, uint32_t> owed_;
  uint64_t work_ = 0;
  uint64_t steps_ = 0;
  std::optional<std::string> wrong_;
};

}  // namespace headrace::exactness
