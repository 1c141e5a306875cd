#include "core/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "core/file.h"

namespace headrace {
namespace {

// Written at once.
constexpr size_t kChunkBytes = size_t{1} << 16;

constexpr const char* kKindNames[kTraceKinds] = {"step", "phase", "op"};

// Names are our own literals: nothing in them needs to be escaped.
void append_event(const TraceEvent& event, std::string& out) {
  fmt::format_to(
      std::back_inserter(out),
      ",\n{{\"name\":\"{}\",\"cat\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{:.3f},\"dur\":{:.3f},"
      "\"args\":{{",
      event.name, kKindNames[static_cast<size_t>(event.kind)], static_cast<double>(event.begin_ns) / 1e3,
      static_cast<double>(event.end_ns - event.begin_ns) / 1e3);
  const char* between = "";
  for (const TraceSize& size : event.sizes) {
    if (size.name == nullptr) continue;
    fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", between, size.name, size.value);
    between = ",";
  }
  if (!event.type.empty()) fmt::format_to(std::back_inserter(out), "{}\"type\":\"{}\"", between, event.type);
  out += "}}";
}

std::vector<TraceTotal> longest_first(const std::map<std::string_view, TraceTotal>& totals) {
  std::vector<TraceTotal> list;
  for (const auto& [name, total] : totals) list.push_back(total);
  std::ranges::stable_sort(list, std::ranges::greater(), &TraceTotal::ns);
  return list;
}

}  // namespace

Trace::Trace(size_t capacity) : begin_(std::chrono::steady_clock::now()) {
  events_.reserve(capacity);
}

int64_t Trace::now_ns() const {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin_).count();
}

void Trace::record(const TraceEvent& event) {
  if (events_.size() < events_.capacity())
    events_.push_back(event);
  else
    ++dropped_;
}

void Trace::clear() {
  events_.clear();
  dropped_ = 0;
}

Status Trace::write(const std::filesystem::path& path) const {
  const auto failed = [&] {
    return make_error(Errc::io, "{}: {}", printable(path.string()), std::strerror(errno));
  };
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "wb"), &std::fclose);
  if (file == nullptr) return failed();
  std::string out =
      "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
      "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"headrace\"}},\n"
      "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"engine\"}}";
  const auto flush = [&] {
    const bool fine = std::fwrite(out.data(), 1, out.size(), file.get()) == out.size();
    out.clear();
    return fine;
  };
  for (const TraceEvent& event : events_) {
    append_event(event, out);
    if (out.size() >= kChunkBytes && !flush()) return failed();
  }
  fmt::format_to(std::back_inserter(out), "\n],\"otherData\":{{\"dropped\":{}}}}}\n", dropped_);
  if (!flush() || std::fflush(file.get()) != 0) return failed();
  return {};
}

TraceSummary summary_of(const Trace& trace) {
  // Spans are recorded at their end. What follows the last step belongs to one that found no room.
  std::span<const TraceEvent> events = trace.events();
  while (!events.empty() && events.back().kind != TraceKind::step) events = events.first(events.size() - 1);
  TraceSummary summary;
  std::map<std::string_view, TraceTotal> ops;
  std::map<std::string_view, TraceTotal> phases;
  const auto add = [](std::map<std::string_view, TraceTotal>& totals, const TraceEvent& event, int64_t ns) {
    TraceTotal& total = totals[event.name];
    total.name = event.name;
    ++total.calls;
    total.ns += ns;
  };
  size_t after_phase = 0;  // the first event after the last phase
  for (size_t i = 0; i < events.size(); ++i) {
    const TraceEvent& event = events[i];
    const int64_t ns = event.end_ns - event.begin_ns;
    if (event.kind == TraceKind::step) {
      ++summary.steps;
      summary.step_ns += ns;
    } else if (event.kind == TraceKind::op) {
      summary.op_ns += ns;
      add(ops, event, ns);
    } else {
      int64_t within = 0;
      for (; after_phase < i; ++after_phase) {
        const TraceEvent& other = events[after_phase];
        if (other.kind == TraceKind::op && other.begin_ns >= event.begin_ns)
          within += other.end_ns - other.begin_ns;
      }
      after_phase = i + 1;
      add(phases, event, ns - within);
    }
  }
  summary.ops = longest_first(ops);
  summary.phases = longest_first(phases);
  return summary;
}

}  // namespace headrace
