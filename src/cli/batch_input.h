// The lines of a batch, read one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/batch_file.h"
#include "core/result.h"

namespace headrace::cli {

/// Lines of a batch: what is remembered of each is little, but not nothing.
inline constexpr size_t kMaxBatchLines = 10'000'000;

struct BatchInputLine {
  uint64_t offset = 0;
  uint64_t bytes = 0;   // without the newline
  uint64_t hash = 0;    // of those
  uint32_t number = 0;  // in the file, from 1; empty lines count
};

/// Knows where each line is; holds none.
class BatchInput {
 public:
  /// Reads the file once. Lines of white space alone are left out. Fails with io, not_found, usage (no lines)
  /// or out_of_budget (more than kMaxBatchLines).
  static Result<BatchInput> open(const std::filesystem::path& path);

  const std::vector<BatchInputLine>& lines() const { return lines_; }
  const std::string& name() const { return file_.name(); }

  /// The text of a line, or so much that it can be seen to be longer than `max_bytes`. Fails with io if the
  /// file has changed.
  Result<std::string> read(const BatchInputLine& line, size_t max_bytes) const;

 private:
  BatchInput(BatchFile file, std::vector<BatchInputLine> lines)
      : file_(std::move(file)), lines_(std::move(lines)) {}

  BatchFile file_;
  std::vector<BatchInputLine> lines_;
};

}  // namespace headrace::cli
