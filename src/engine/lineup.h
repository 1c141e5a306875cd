// Who waits and who runs: the engine's side of scheduling. Makes the snapshot that the policy plans by and
// carries out what it decided about whole sequences.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cache/state_store.h"
#include "engine/choice.h"
#include "schedule/admission.h"

namespace headrace {

/// Sequences that the policy may choose from in one step: a step admits a few, and looking one up in the
/// cache takes microseconds.
inline constexpr size_t kCandidates = 16;

class Lineup {
 public:
  explicit Lineup(StateStore& store);

  void add(std::unique_ptr<Choice> choice);
  bool empty() const { return waiting_.empty() && running_.empty(); }
  size_t waiting() const { return waiting_.size(); }
  std::span<const std::unique_ptr<Choice>> running() const { return running_; }
  /// Calls visit(Choice&) for all, those that run first.
  template <typename F>
  void for_each(F visit) {
    for (const auto& choice : running_) visit(*choice);
    for (const auto& choice : waiting_) visit(*choice);
  }

  /// The snapshot of now; its lists live until the next call.
  Snapshot snapshot(const StepLimits& limits, uint32_t page_tokens);
  /// Does what the plan says about sequences; `chunks` becomes what runs, with indices into running().
  void apply(const StepPlan& plan, const StepLimits& limits, uint64_t step, std::vector<StepChunk>& chunks);
  /// Takes out those for which `done(choice)` is true, hands them to `take`, and closes their sequences.
  template <typename Done, typename Take>
  void remove_if(Done done, Take take) {
    std::erase_if(running_, [&](std::unique_ptr<Choice>& choice) {
      if (!done(*choice)) return false;
      store_.close(*choice->sequence);
      take(*choice);
      return true;
    });
    std::erase_if(waiting_, [&](std::unique_ptr<Choice>& choice) {
      if (!done(*choice)) return false;
      take(*choice);
      return true;
    });
  }
  uint64_t preemptions() const { return preemptions_; }
  uint64_t reused_tokens() const { return reused_tokens_; }

 private:
  void put_in_line(std::unique_ptr<Choice> choice);
  bool somebody_could_enter(const StepLimits& limits) const;
  void view_waiting(const StepLimits& limits, uint32_t page_tokens);
  bool parked(Choice& choice, uint32_t cached, uint32_t page_tokens) const;
  void admit(Choice& choice, const Prospect& prospect, const StepLimits& limits, uint64_t step);

  StateStore& store_;
  std::vector<std::unique_ptr<Choice>> running_;
  // First in line first. Has room for those that run, too: any of them may have to come back.
  std::vector<std::unique_ptr<Choice>> waiting_;
  std::vector<RunningView> running_views_;
  std::vector<WaitingView> waiting_views_;
  struct Viewed {
    Choice* choice = nullptr;
    Prospect prospect;
  };
  std::vector<Viewed> viewed_;   // of waiting_views_
  std::vector<uint32_t> moved_;  // of running_, in apply(): where it stands after the preempted have gone
  uint64_t preemptions_ = 0;
  uint64_t reused_tokens_ = 0;
};

/// Keys for the pages of a prompt (Choice::page_keys).
std::vector<uint64_t> page_keys_of(uint64_t salt, std::span<const int32_t> prompt, uint32_t page_tokens);

}  // namespace headrace
