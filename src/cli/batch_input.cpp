#include "cli/batch_input.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "cli/fnv.h"

namespace headrace::cli {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;

// Collects lines from blocks that may cut them anywhere.
class LineIndex {
 public:
  void add(std::string_view block) {
    while (!block.empty()) {
      const size_t end = block.find('\n');
      const std::string_view part = block.substr(0, end);
      line_.bytes += part.size();
      line_.hash = fnv1a(part, line_.hash);
      blank_ = blank_ && part.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
      if (end == std::string_view::npos) return;
      finish();
      block.remove_prefix(end + 1);
    }
  }

  void finish() {
    if (!blank_) lines_.push_back(line_);
    line_ = {.offset = line_.offset + line_.bytes + 1, .hash = kFnvBegin, .number = line_.number + 1};
    blank_ = true;
  }

  std::vector<BatchInputLine>& lines() { return lines_; }
  bool full() const { return lines_.size() > kMaxBatchLines || line_.number > 2 * kMaxBatchLines; }

 private:
  std::vector<BatchInputLine> lines_;
  BatchInputLine line_{.hash = kFnvBegin, .number = 1};
  bool blank_ = true;
};

}  // namespace

Result<BatchInput> BatchInput::open(const std::filesystem::path& path) {
  HEADRACE_TRY(BatchFile file, BatchFile::open_to_read(path));
  LineIndex index;
  std::string block(kBlockBytes, '\0');
  for (uint64_t offset = 0;;) {
    HEADRACE_TRY(const size_t got, file.read_at(offset, block));
    index.add(std::string_view(block).substr(0, got));
    if (index.full()) {
      return make_error(Errc::out_of_budget, "{}: more lines than the limit of {}", file.name(),
                        kMaxBatchLines);
    }
    offset += got;
    if (got < block.size()) break;
  }
  index.finish();
  if (index.lines().empty()) return make_error(Errc::usage, "{}: holds no requests", file.name());
  return BatchInput(std::move(file), std::move(index.lines()));
}

Result<std::string> BatchInput::read(const BatchInputLine& line, size_t max_bytes) const {
  const bool whole = line.bytes <= max_bytes;
  std::string text(whole ? static_cast<size_t>(line.bytes) : max_bytes + 1, '\0');
  HEADRACE_TRY(const size_t got, file_.read_at(line.offset, text));
  if (got < text.size() || (whole && fnv1a(text) != line.hash)) {
    return make_error(Errc::io, "{}: line {} has changed since the run began", file_.name(), line.number);
  }
  return text;
}

}  // namespace headrace::cli
