#include "cli/batch_journal.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "cli/fnv.h"
#include "core/file.h"
#include "hub/part_file.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHeader = R"({"headrace_batch_journal":1,"settings":)";
constexpr std::string_view kEnd = R"({"complete":true})";
constexpr size_t kBlockBytes = size_t{1} << 20;
// A killed program loses nothing; this is what a machine that loses power may lose.
constexpr std::chrono::seconds kSyncEvery{5};

// An entry is written by format_entry() alone, so it is read literally: what differs by a byte is damaged.
struct ParsedEntry {
  uint32_t line = 0;
  uint64_t hash = 0;  // of the input line
  BatchKind kind = BatchKind::answer;
  std::string_view output;
};

std::string format_entry(const BatchInputLine& line, BatchKind kind, std::string_view output) {
  return fmt::format(R"({{"line":{},"hash":"{:016x}","kind":"{}","sum":"{:016x}","output":{}}})", line.number,
                     line.hash, kind == BatchKind::answer ? "answer" : "error", fnv1a(output), output);
}

class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  bool skip(std::string_view expected) {
    if (!text_.starts_with(expected)) return false;
    text_.remove_prefix(expected.size());
    return true;
  }
  template <typename T>
  bool number(T& value, int base) {
    const auto [stop, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, base);
    if (error != std::errc()) return false;
    text_.remove_prefix(static_cast<size_t>(stop - text_.data()));
    return true;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

std::optional<ParsedEntry> parse_entry(std::string_view text) {
  ParsedEntry entry;
  uint64_t sum = 0;
  Literal in(text);
  const bool begins = in.skip(R"({"line":)") && in.number(entry.line, 10) && in.skip(R"(,"hash":")") &&
                      in.number(entry.hash, 16) && in.skip(R"(","kind":")");
  if (!begins) return std::nullopt;
  if (in.skip("error"))
    entry.kind = BatchKind::error;
  else if (!in.skip("answer"))
    return std::nullopt;
  if (!in.skip(R"(","sum":")") || !in.number(sum, 16) || !in.skip(R"(","output":)")) return std::nullopt;
  entry.output = in.rest();
  if (!entry.output.ends_with('}')) return std::nullopt;
  entry.output.remove_suffix(1);
  return !entry.output.empty() && fnv1a(entry.output) == sum ? std::optional(entry) : std::nullopt;
}

Error not_a_journal(const std::string& name) {
  return make_error(Errc::usage, "{}: is not the journal of a batch; it is in the way of one", name);
}

}  // namespace

Result<BatchJournal> BatchJournal::open(const std::filesystem::path& path, const BatchInput& input) {
  HEADRACE_TRY(BatchFile file, BatchFile::open_to_append(path));
  HEADRACE_RETURN_IF_ERROR(file.lock());
  // Another run may have finished, and removed the file, between opening and locking it.
  if (!file.is_current()) {
    return make_error(Errc::usage, "{}: another run has just finished with it", file.name());
  }
  BatchJournal journal(std::move(file), input);
  HEADRACE_RETURN_IF_ERROR(journal.read());
  return journal;
}

BatchJournal::~BatchJournal() {
  if (file_.is_current() && end_ == 0 && file_.size().value() == 0) {
    [[maybe_unused]] const Status removed = remove_file(file_.path());
  }
}

Status BatchJournal::read() {
  HEADRACE_TRY(const uint64_t size, file_.size());
  std::string pending;  // what of the file lies from end_ on and has been read
  std::string block(kBlockBytes, '\0');
  size_t searched = 0;
  for (uint64_t offset = 0; offset < size;) {
    HEADRACE_TRY(const size_t got, file_.read_at(offset, block));
    if (got == 0) break;
    offset += got;
    pending.append(block, 0, got);
    size_t begin = 0;
    for (size_t newline = 0; (newline = pending.find('\n', searched)) != std::string::npos;) {
      const std::string_view line = std::string_view(pending).substr(begin, newline - begin);
      HEADRACE_RETURN_IF_ERROR(settings_ ? read_line(line, end_) : read_header(line));
      end_ += line.size() + 1;
      begin = searched = newline + 1;
    }
    pending.erase(0, begin);
    searched = pending.size();
  }
  // A file of another kind must not be cut.
  const size_t known = std::min(pending.size(), kHeader.size());
  if (!settings_ && pending.substr(0, known) != kHeader.substr(0, known)) return not_a_journal(name());
  if (end_ < size) HEADRACE_RETURN_IF_ERROR(file_.truncate(end_));
  return {};
}

Status BatchJournal::read_header(std::string_view line) {
  if (!line.starts_with(kHeader) || !line.ends_with('}')) return not_a_journal(name());
  const std::string_view object = line.substr(kHeader.size(), line.size() - kHeader.size() - 1);
  Json settings = Json::parse(object, nullptr, false);
  if (!settings.is_object()) return not_a_journal(name());
  settings_ = std::move(settings);
  return {};
}

Status BatchJournal::read_line(std::string_view line, uint64_t offset) {
  if (line == kEnd) {
    completed_ = true;
    return {};
  }
  const std::optional<ParsedEntry> entry = parse_entry(line);
  if (!entry) {
    ++n_damaged_;
    return {};
  }
  const std::vector<BatchInputLine>& lines = input_->lines();
  const auto found = std::ranges::lower_bound(lines, entry->line, {}, &BatchInputLine::number);
  if (found == lines.end() || found->number != entry->line || found->hash != entry->hash) {
    return make_error(Errc::usage,
                      "{}: line {} is not what it was when {} was written: the input has changed. Give the "
                      "output another name, or remove {} to begin anew",
                      input_->name(), entry->line, name(), name());
  }
  const auto index = static_cast<size_t>(found - lines.begin());
  if (has(index)) return {};
  const auto at = static_cast<uint64_t>(entry->output.data() - line.data());
  entries_[index] = {offset + at, entry->output.size(), entry->kind};
  ++n_finished_;
  if (entry->kind == BatchKind::error) ++n_errors_;
  return {};
}

Status BatchJournal::begin(const Json& settings) {
  if (!settings_) {
    HEADRACE_RETURN_IF_ERROR(write_line(std::string(kHeader) +
                                        settings.dump(-1, ' ', false, Json::error_handler_t::replace) + "}"));
    settings_ = settings;
    return {};
  }
  for (const auto& [key, value] : settings.items()) {
    const auto before = settings_->find(key);
    if (before != settings_->end() && *before == value) continue;
    return make_error(Errc::usage,
                      "{}: was begun with {} {}, now it is {}: answers of both would be mixed. Use the same, "
                      "or remove the file to begin anew",
                      name(), key, before == settings_->end() ? "missing" : before->dump(), value.dump());
  }
  return {};
}

Status BatchJournal::write_line(const std::string& line) {
  Status written = file_.append(line + "\n");
  if (!written) {
    // If it can't be cut now, the next run will do it.
    [[maybe_unused]] const Status cut = file_.truncate(end_);
    Error error = std::move(written).error();
    error.message +=
        fmt::format("; the {} lines finished so far are kept, and the same command continues", n_finished_);
    return error;
  }
  end_ += line.size() + 1;
  return {};
}

Status BatchJournal::append(size_t index, BatchKind kind, std::string_view output) {
  HEADRACE_CHECK(settings_ && !has(index) && output.find('\n') == std::string_view::npos);
  const std::string line = format_entry(input_->lines()[index], kind, output);
  const uint64_t offset = end_ + line.size() - output.size() - 1;
  HEADRACE_RETURN_IF_ERROR(write_line(line));
  entries_[index] = {offset, output.size(), kind};
  ++n_finished_;
  if (kind == BatchKind::error) ++n_errors_;
  const auto now = std::chrono::steady_clock::now();
  if (now - synced_ < kSyncEvery) return {};
  synced_ = now;
  return file_.sync();
}

Result<std::string> BatchJournal::output(size_t index) const {
  const Entry& entry = entries_[index];
  std::string text(static_cast<size_t>(entry.bytes), '\0');
  HEADRACE_TRY(const size_t got, file_.read_at(entry.offset, text));
  if (got < text.size()) return make_error(Errc::io, "{}: has become shorter", name());
  return text;
}

Status BatchJournal::complete() {
  HEADRACE_CHECK(n_finished_ == entries_.size());
  if (!completed_) HEADRACE_RETURN_IF_ERROR(write_line(std::string(kEnd)));
  completed_ = true;
  return file_.sync();
}

Status BatchJournal::remove() {
  return remove_file(file_.path());
}

}  // namespace headrace::cli
