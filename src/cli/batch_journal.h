// What is finished of a batch, on disk while the batch runs: OUT.part. It is written as soon as a line is
// finished, so that a run that was killed at any moment goes on where it stood.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/batch_file.h"
#include "cli/batch_input.h"
#include "core/result.h"

namespace headrace::cli {

enum class BatchKind : uint8_t { answer, error };

/// One run owns a journal at a time. A line is finished once its entry is whole: a torn one, and one that
/// doesn't match its checksum, count as missing and are computed again.
///
/// The file: a line with the settings, then a line for each finished line in the order they finished, then a
/// line that says all are.
class BatchJournal {
 public:
  /// Takes the file, making it if it is missing, and finds out what is finished of `input`, which must
  /// outlive this object. Fails with usage if another run has the file, if it isn't a journal, or if a line
  /// of the input isn't what it was when it was finished.
  static Result<BatchJournal> open(const std::filesystem::path& path, const BatchInput& input);

  BatchJournal(BatchJournal&&) = default;
  BatchJournal& operator=(BatchJournal&&) = delete;
  /// Removes the file if nothing was written to it.
  ~BatchJournal();

  /// What the finished lines were computed with; none in a new journal.
  const std::optional<nlohmann::ordered_json>& settings() const { return settings_; }
  /// Says what the lines to come are computed with, an object of plain values. Fails with usage, naming the
  /// setting and both values, if lines were finished with others.
  Status begin(const nlohmann::ordered_json& settings);

  const std::string& name() const { return file_.name(); }
  size_t finished() const { return n_finished_; }
  size_t errors() const { return n_errors_; }
  /// complete() was called, perhaps by an earlier run, and all lines are there.
  bool completed() const { return completed_ && n_finished_ == entries_.size(); }
  /// Entries found damaged by open().
  size_t damaged() const { return n_damaged_; }

  /// Whether a line of the input, by index, is finished.
  bool has(size_t index) const { return entries_[index].bytes > 0; }
  BatchKind kind(size_t index) const { return entries_[index].kind; }

  /// Line `index` is finished with `output`, one line of JSON. Fails with io; what was finished before is
  /// kept, and the message says so.
  Status append(size_t index, BatchKind kind, std::string_view output);
  Result<std::string> output(size_t index) const;

  /// All lines are finished, and on the disk when this returns.
  Status complete();
  /// The outputs are in their place: the journal has done its duty.
  Status remove();

 private:
  struct Entry {
    uint64_t offset = 0;  // of the output
    uint64_t bytes = 0;   // 0: not finished
    BatchKind kind = BatchKind::answer;
  };

  BatchJournal(BatchFile file, const BatchInput& input)
      : file_(std::move(file)), input_(&input), entries_(input.lines().size()) {}

  Status read();
  Status read_header(std::string_view line);
  Status read_line(std::string_view line, uint64_t offset);
  Status write_line(const std::string& line);

  BatchFile file_;
  const BatchInput* input_;
  std::vector<Entry> entries_;  // by index in the input
  std::optional<nlohmann::ordered_json> settings_;
  uint64_t end_ = 0;  // of what is whole
  size_t n_finished_ = 0;
  size_t n_errors_ = 0;
  size_t n_damaged_ = 0;
  bool completed_ = false;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace headrace::cli
