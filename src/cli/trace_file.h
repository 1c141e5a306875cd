// --trace FILE: what ran when, for Perfetto, and a summary for those who have no time to look.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "core/result.h"
#include "core/trace.h"

namespace headrace::cli {

/// Begins no group of flags.
void add_trace_flag(CLI::App& app, std::string& path);

class TraceFile {
 public:
  /// An empty path: nothing is traced. A file that can't be written is an error before the work begins.
  static Result<TraceFile> open(const std::string& path);

  /// Null if nothing is traced. Lives as long as this object.
  Trace* trace() const { return trace_.get(); }
  /// Writes the file, and the summary to standard error unless `quiet`.
  Status finish(bool quiet) const;

 private:
  std::string path_;
  std::unique_ptr<Trace> trace_;
};

/// A table: each op and phase with its calls, time and share of the time of all steps.
std::string trace_summary_text(const TraceSummary& summary);

}  // namespace headrace::cli
