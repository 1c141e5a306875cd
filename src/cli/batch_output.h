// Where a batch's outputs go, and how they get there whole.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/batch_journal.h"
#include "core/result.h"

namespace headrace::cli {

struct BatchPaths {
  std::filesystem::path input;
  std::filesystem::path output;
  std::filesystem::path errors;
  std::filesystem::path journal;  // output + ".part"
};

/// The files of a run; `errors` defaults to the output's name with ".errors.jsonl" in place of its extension.
/// Fails with usage if two of them are one file, or one can't be written as a file.
Result<BatchPaths> batch_paths(const std::string& input, const std::string& output,
                               const std::optional<std::string>& errors);

/// Refuses, without `overwrite`, to replace an output that is there, unless `journal` says that its run was
/// complete and only the outputs' renaming is left. `journal` is null as long as none has been opened.
Status check_outputs(const BatchPaths& paths, const BatchJournal* journal, bool overwrite);

/// Writes what the complete journal holds to both outputs in the order of the input, and removes the journal.
/// Each output appears whole or not at all; without errors there is no file for them. Fails with io: then the
/// journal stays, and publishing again continues.
Status publish_outputs(const BatchPaths& paths, BatchJournal& journal, size_t n_lines);

}  // namespace headrace::cli
