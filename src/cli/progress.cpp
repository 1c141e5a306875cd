#include "cli/progress.h"

#include <unistd.h>
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "cli/output.h"
#include "core/file.h"

namespace headrace::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{10};
constexpr std::chrono::seconds kPlainNews{1};
constexpr size_t kBarWidth = 24;

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string clock_text(double left) {
  const auto s = static_cast<uint64_t>(std::min(left, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

Progress::Progress(std::string label, Unit unit, bool quiet, std::chrono::milliseconds silent_for)
    : label_(std::move(label)),
      unit_(unit),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      show_from_(Clock::now() + silent_for),
      begin_(Clock::now()) {}

bool Progress::due(uint64_t done, uint64_t total, Clock::time_point now) const {
  if (quiet_ || now < show_from_) return false;
  if (fresh_) return true;
  if (terminal_) return now - last_shown_ >= kRedraw;
  const bool next_tenth = total > 0 && done * 10 / total > last_tenth_;
  const auto since = now - last_shown_;
  return unit_ == Unit::blocks || (next_tenth && since >= kPlainNews) || since >= kPlainLine || done == total;
}

std::string Progress::text(uint64_t done, uint64_t total, Clock::time_point now) const {
  const bool bytes = unit_ == Unit::bytes;
  std::string out = label_;
  if (total == 0) return out;
  const uint64_t percent = std::min<uint64_t>(100, done * 100 / total);
  if (terminal_) {
    const size_t filled = static_cast<size_t>(percent) * kBarWidth / 100;
    out += fmt::format(" [{}{}]", std::string(filled, '#'), std::string(kBarWidth - filled, ' '));
  }
  if (!bytes)
    out += fmt::format(" {}/{}", done, total);
  else
    out += fmt::format(" {:3} %  {} of {}", percent, human_bytes(done), human_bytes(total));
  const double elapsed = seconds(now - begin_);
  if (elapsed < 0.2 || done <= first_done_) return out;
  const double rate = static_cast<double>(done - first_done_) / elapsed;
  if (bytes) out += fmt::format("  {:.1f} MB/s", rate / 1e6);
  if (done < total) out += fmt::format("  {} left", clock_text(static_cast<double>(total - done) / rate));
  return out;
}

void Progress::update(const std::string& label, uint64_t done, uint64_t total, const std::string& extra) {
  const Clock::time_point now = Clock::now();
  if (label != label_ || fresh_) {
    if (label != label_) finish();
    label_ = label;
    begin_ = now;
    first_done_ = done;
  }
  if (!due(done, total, now)) return;
  fresh_ = false;
  last_shown_ = now;
  last_tenth_ = total > 0 ? done * 10 / total : 0;
  const std::string line = text(done, total, now) + extra;
  if (!terminal_) return note(line);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
  fresh_ = true;
}

}  // namespace headrace::cli
