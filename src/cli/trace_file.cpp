#include "cli/trace_file.h"

#include <fmt/format.h>

#include "cli/options.h"
#include "cli/output.h"
#include "core/file.h"

namespace headrace::cli {
namespace {

// A step of a model with 30 layers is 400 events; memory is touched only as far as it is used, 96 bytes each.
constexpr size_t kTraceEvents = size_t{1} << 20;

std::string lines_of(const char* kind, const std::vector<TraceTotal>& totals, int64_t all_ns) {
  std::string out;
  for (const TraceTotal& total : totals) {
    out += fmt::format("{:<6} {:<12} {:>9} {:>12.3f} {:>8.2f}\n", kind, total.name, total.calls,
                       static_cast<double>(total.ns) / 1e6,
                       all_ns > 0 ? static_cast<double>(total.ns) / static_cast<double>(all_ns) * 100 : 0);
  }
  return out;
}

}  // namespace

void add_trace_flag(CLI::App& app, std::string& path) {
  app.add_option("--trace", path, "Write what ran when to a file that Perfetto opens")->type_name(kFileValue);
}

Result<TraceFile> TraceFile::open(const std::string& path) {
  TraceFile file;
  if (path.empty()) return file;
  file.path_ = path;
  HEADRACE_RETURN_IF_ERROR(Trace(0).write(path));
  file.trace_ = std::make_unique<Trace>(kTraceEvents);
  return file;
}

Status TraceFile::finish(bool quiet) const {
  if (trace_ == nullptr) return {};
  HEADRACE_RETURN_IF_ERROR(trace_->write(path_));
  if (quiet) return {};
  note(trace_summary_text(summary_of(*trace_)));
  note(fmt::format("trace of {} events in {}", grouped(trace_->events().size()), printable(path_)));
  if (trace_->dropped() > 0) {
    warn(fmt::format("the trace was full: the last {} events are missing", grouped(trace_->dropped())));
  }
  return {};
}

std::string trace_summary_text(const TraceSummary& summary) {
  const int64_t outside = summary.step_ns - summary.op_ns;
  return fmt::format("{:<6} {:<12} {:>9} {:>12} {:>8}\n", "", "", "calls", "ms", "% of steps") +
         lines_of("op", summary.ops, summary.step_ns) + lines_of("phase", summary.phases, summary.step_ns) +
         fmt::format("{} steps took {:.3f} ms, {:.2f} % of it outside ops", grouped(summary.steps),
                     static_cast<double>(summary.step_ns) / 1e6,
                     summary.step_ns > 0
                         ? static_cast<double>(outside) / static_cast<double>(summary.step_ns) * 100
                         : 0);
}

}  // namespace headrace::cli
