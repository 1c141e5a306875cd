// What ran when: spans of time on one thread, kept in memory that was taken before, and written as a file
// that Perfetto and chrome://tracing open.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace headrace {

/// What a span is part of. Spans nest: ops lie in phases, phases in steps.
enum class TraceKind : uint8_t { step, phase, op };
inline constexpr size_t kTraceKinds = 3;

/// A number that goes with a span. Names are string literals: the trace keeps the pointer.
struct TraceSize {
  const char* name = nullptr;
  uint64_t value = 0;
};
inline constexpr size_t kTraceSizes = 3;

struct TraceEvent {
  const char* name = nullptr;  // a literal, too
  std::string_view type = {};  // of weights, or empty; a literal
  TraceKind kind = TraceKind::op;
  int64_t begin_ns = 0;  // since the trace was made
  int64_t end_ns = 0;
  std::array<TraceSize, kTraceSizes> sizes = {};  // those without a name are unused
};

/// Used by one thread at a time.
class Trace {
 public:
  /// Room for so many events. No memory is taken while recording; what comes when it is full is counted only.
  explicit Trace(size_t capacity);

  int64_t now_ns() const;
  void record(const TraceEvent& event);
  /// Forgets all events.
  void clear();

  std::span<const TraceEvent> events() const { return events_; }
  uint64_t dropped() const { return dropped_; }

  /// Writes Chrome's trace format. Fails with io; a file that was there is replaced.
  Status write(const std::filesystem::path& path) const;

 private:
  std::chrono::steady_clock::time_point begin_;
  std::vector<TraceEvent> events_;
  uint64_t dropped_ = 0;
};

/// Records from its making to its end. Does nothing without a trace.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, TraceKind kind, const char* name, std::array<TraceSize, kTraceSizes> sizes = {},
            std::string_view type = {})
      : trace_(trace) {
    if (trace_ != nullptr) event_ = {name, type, kind, trace_->now_ns(), 0, sizes};
  }
  ~TraceSpan() {
    if (trace_ == nullptr) return;
    event_.end_ns = trace_->now_ns();
    trace_->record(event_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

  /// For what is known only at the end.
  void set_sizes(const std::array<TraceSize, kTraceSizes>& sizes) { event_.sizes = sizes; }

 private:
  Trace* trace_;
  TraceEvent event_;
};

/// Where the time of all steps went.
struct TraceTotal {
  const char* name = nullptr;
  uint64_t calls = 0;
  int64_t ns = 0;
};
struct TraceSummary {
  uint64_t steps = 0;
  int64_t step_ns = 0;
  int64_t op_ns = 0;
  std::vector<TraceTotal> ops;     // by name, the longest first
  std::vector<TraceTotal> phases;  // the same, without the ops within them
};
/// Of the steps that were recorded to their end.
TraceSummary summary_of(const Trace& trace);

}  // namespace headrace
