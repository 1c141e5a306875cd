#include "cli/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <string_view>
#include <system_error>

#include "core/file.h"
#include "hub/environment.h"

namespace headrace::cli {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20;
constexpr mode_t kOwnerOnly = 0600;

// An entry is a line of the file: its own newlines and backslashes are escaped.
std::string line_of(std::string_view entry) {
  std::string line;
  for (const char c : entry) {
    if (c == '\n')
      line += "\\n";
    else if (c == '\\')
      line += "\\\\";
    else
      line += c;
  }
  return line + '\n';
}

std::string entry_of(std::string_view line) {
  std::string entry;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escape = line[i] == '\\' && i + 1 < line.size();
    if (escape) ++i;
    entry += escape && line[i] == 'n' ? '\n' : line[i];
  }
  return entry;
}

bool write_all(int fd, std::string_view text) {
  return ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Written beside and renamed, so that a chat that ends in between loses nothing.
void rewrite(const std::filesystem::path& path, const std::vector<std::string>& entries) {
  const std::string beside = path.string() + ".new";
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kOwnerOnly);
  if (fd < 0) return;
  std::string text;
  for (const std::string& entry : entries) text += line_of(entry);
  const bool written = write_all(fd, text);
  ::close(fd);
  if (written) ::rename(beside.c_str(), path.c_str());
}

}  // namespace

std::optional<std::filesystem::path> history_file() {
  const Environment environment = process_environment();
  std::filesystem::path state = environment("XDG_STATE_HOME").value_or("");
  if (!state.is_absolute()) {  // a relative one is to be ignored, says the XDG specification
    const std::optional<std::string> home = environment("HOME");
    if (!home) return std::nullopt;
    state = std::filesystem::path(*home) / ".local" / "state";
  }
  return state / "headrace" / "history";
}

std::vector<std::string> load_history() {
  const std::optional<std::filesystem::path> path = history_file();
  if (!path) return {};
  const Result<std::string> text = read_text(*path, kMaxFileBytes);
  if (!text) return {};
  std::vector<std::string> entries;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) entries.push_back(entry_of(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (entries.size() <= kMaxHistoryEntries) return entries;
  const bool far_beyond = entries.size() > 2 * kMaxHistoryEntries;
  entries.erase(entries.begin(), entries.end() - static_cast<ptrdiff_t>(kMaxHistoryEntries));
  if (far_beyond) rewrite(*path, entries);
  return entries;
}

void append_history(const std::string& entry) {
  const std::optional<std::filesystem::path> path = history_file();
  if (!path) return;
  std::error_code ignored;
  std::filesystem::create_directories(path->parent_path(), ignored);
  const int fd = ::open(path->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, kOwnerOnly);
  if (fd < 0) return;
  struct stat info {};
  // A file that somebody made readable for others is taken back.
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    ::fchmod(fd, kOwnerOnly);
    write_all(fd, line_of(entry));
  }
  ::close(fd);
}

}  // namespace headrace::cli
