#include "cli/batch_output.h"

#include <system_error>
#include <utility>

#include "hub/part_file.h"

namespace headrace::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = size_t{1} << 20;

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  if (fs::equivalent(a, b, ignored)) return true;
  const fs::path left = fs::weakly_canonical(a, ignored);
  return !left.empty() && left == fs::weakly_canonical(b, ignored);
}

// A name that a file can take, or the name of one.
Status check_place(const fs::path& path, const char* what) {
  const std::string name = file_name_for_messages(path);
  std::error_code ignored;
  if (path == "-" || path.filename().empty())
    return make_error(Errc::usage, "{}: the {} must be a file", name, what);
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return make_error(Errc::usage, "{}: the {} must be a file, and this is something else", name, what);
  }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, ignored)) {
    return make_error(Errc::not_found, "{}: there is no folder {}", name, file_name_for_messages(folder));
  }
  return {};
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

// Removes the file unless it was kept: a failure must not leave half an output behind.
class NewFile {
 public:
  static Result<NewFile> create(const fs::path& place) {
    HEADRACE_TRY(BatchFile file, BatchFile::create(with_suffix(place, ".new")));
    return NewFile(std::move(file), place);
  }
  NewFile(NewFile&& other) noexcept
      : file_(std::move(other.file_)),
        place_(std::move(other.place_)),
        kept_(std::exchange(other.kept_, true)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (kept_) return;
    [[maybe_unused]] const Status removed = remove_file(file_.path());
  }

  Status add(std::string_view line) {
    buffer_ += line;
    buffer_ += '\n';
    return buffer_.size() < kBufferBytes ? Status() : flush();
  }
  Status finish() {
    HEADRACE_RETURN_IF_ERROR(flush());
    return file_.sync();
  }
  /// Takes its place, atomically.
  Status publish() {
    // Absolute: the folder of a bare name is the empty path, which can't be opened.
    HEADRACE_RETURN_IF_ERROR(rename_durably(fs::absolute(file_.path()), fs::absolute(place_)));
    kept_ = true;
    return {};
  }

 private:
  NewFile(BatchFile file, fs::path place) : file_(std::move(file)), place_(std::move(place)) {}
  Status flush() {
    HEADRACE_RETURN_IF_ERROR(file_.append(buffer_));
    buffer_.clear();
    return {};
  }

  BatchFile file_;
  fs::path place_;
  std::string buffer_;
  bool kept_ = false;
};

Status write_outputs(const BatchPaths& paths, const BatchJournal& journal, size_t n_lines) {
  HEADRACE_TRY(NewFile answers, NewFile::create(paths.output));
  std::optional<NewFile> errors;
  if (journal.errors() > 0) {
    HEADRACE_TRY(NewFile file, NewFile::create(paths.errors));
    errors.emplace(std::move(file));
  }
  for (size_t i = 0; i < n_lines; ++i) {
    HEADRACE_TRY(const std::string line, journal.output(i));
    HEADRACE_RETURN_IF_ERROR(journal.kind(i) == BatchKind::error ? errors->add(line) : answers.add(line));
  }
  HEADRACE_RETURN_IF_ERROR(answers.finish());
  if (errors) {
    HEADRACE_RETURN_IF_ERROR(errors->finish());
    HEADRACE_RETURN_IF_ERROR(errors->publish());
  } else {
    // An earlier run's errors would seem to be this one's.
    HEADRACE_RETURN_IF_ERROR(remove_file(paths.errors));
  }
  // Last: who sees the answers finds the errors in their place.
  return answers.publish();
}

}  // namespace

Result<BatchPaths> batch_paths(const std::string& input, const std::string& output,
                               const std::optional<std::string>& errors) {
  BatchPaths paths;
  paths.input = input;
  paths.output = output;
  paths.errors = errors ? fs::path(*errors) : fs::path(output).replace_extension(".errors.jsonl");
  paths.journal = with_suffix(paths.output, ".part");
  if (input == "-")
    return make_error(Errc::usage, "the input must be a file: it is read again to continue a run");
  HEADRACE_RETURN_IF_ERROR(check_place(paths.output, "output"));
  HEADRACE_RETURN_IF_ERROR(check_place(paths.errors, "file for errors"));
  const std::pair<const fs::path*, const char*> all[] = {{&paths.input, "the input"},
                                                         {&paths.output, "the output"},
                                                         {&paths.errors, "the file for errors"},
                                                         {&paths.journal, "the journal"}};
  for (const auto& [a, a_is] : all) {
    for (const auto& [b, b_is] : all) {
      if (a == b) break;
      if (!same_file(*a, *b)) continue;
      return make_error(Errc::usage, "{}: is {} and {} at once", file_name_for_messages(*a), b_is, a_is);
    }
  }
  return paths;
}

Status check_outputs(const BatchPaths& paths, const BatchJournal* journal, bool overwrite) {
  if (overwrite || (journal != nullptr && journal->completed())) return {};
  for (const fs::path& path : {paths.output, paths.errors}) {
    if (!is_there(path)) continue;
    const std::string name = file_name_for_messages(path);
    if (journal != nullptr && journal->settings()) {
      return make_error(
          Errc::usage,
          "{}: exists already, and so does {} with {} finished lines of a run: --overwrite continues "
          "that run and replaces {} at its end",
          name, journal->name(), journal->finished(), name);
    }
    return make_error(Errc::usage, "{}: exists already; --overwrite replaces it when all answers are there",
                      name);
  }
  return {};
}

Status publish_outputs(const BatchPaths& paths, BatchJournal& journal, size_t n_lines) {
  HEADRACE_RETURN_IF_ERROR(journal.complete());
  if (Status written = write_outputs(paths, journal, n_lines); !written) {
    Error error = std::move(written).error();
    error.message += fmt::format("; all {} lines are finished and kept in {}, and the same command continues",
                                 n_lines, journal.name());
    return error;
  }
  return journal.remove();
}

}  // namespace headrace::cli
