// How far a long piece of work is: a bar that redraws itself on a terminal, a plain line now and then
// elsewhere, nothing with --quiet.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace headrace::cli {

class Progress {
 public:
  enum class Unit { bytes, blocks, tokens, requests, trials };

  /// Nothing is shown in the first `silent_for`: short work needs no progress.
  Progress(std::string label, Unit unit, bool quiet, std::chrono::milliseconds silent_for = {});
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap to call often. A new label begins a new line, and the rate anew. `extra` is appended.
  void update(const std::string& label, uint64_t done, uint64_t total, const std::string& extra = {});
  void update(uint64_t done, uint64_t total, const std::string& extra = {}) {
    update(label_, done, total, extra);
  }
  /// Takes the bar off the terminal.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  bool due(uint64_t done, uint64_t total, Clock::time_point now) const;
  std::string text(uint64_t done, uint64_t total, Clock::time_point now) const;

  std::string label_;
  Unit unit_;
  bool quiet_;
  bool terminal_;
  Clock::time_point show_from_;
  Clock::time_point begin_;
  Clock::time_point last_shown_;
  uint64_t first_done_ = 0;  // what was done when this stage began: not part of the rate
  uint64_t last_tenth_ = 0;
  bool fresh_ = true;
  bool drawn_ = false;
};

}  // namespace headrace::cli
