#include "terminal.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "program.h"

namespace headrace::testing {
namespace {

constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMake

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};
constexpr int kLookMilliseconds = 100;

}  // namespace

std::string pasted(std::string text) {
  std::ranges::replace(text, '\n', '\r');
  return "\033[200~" + text + "\033[201~";
}

Terminal::Terminal(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment) {
  static int homes = 0;
  home_ = test_folder() / ("home" + std::to_string(++homes));
  std::filesystem::create_directories(home_);
  std::map<std::string, std::string> variables = {
      {"PATH", "/usr/bin:/bin"}, {"HOME", home_.string()}, {"TERM", "xterm"}};
  for (const auto& [name, value] : environment) variables[name] = value;
  std::vector<std::string> strings = {HEADRACE_PROGRAM};
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  const size_t n_arguments = strings.size();
  for (const auto& [name, value] : variables) strings.push_back(name + "=" + value);
  std::vector<char*> argv;
  std::vector<char*> envp;
  for (size_t i = 0; i < strings.size(); ++i) (i < n_arguments ? argv : envp).push_back(strings[i].data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  winsize size = {30, 100, 0, 0};
  child_ = ::forkpty(&fd_, nullptr, nullptr, &size);
  if (child_ < 0) {
    std::puts("no pseudo-terminal here (is /dev/pts mounted?): skipped");
    std::fflush(stdout);
    std::_Exit(kSkipped);
  }
  if (child_ == 0) {
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
}

Terminal::~Terminal() {
  vanish();
  if (child_ < 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

void Terminal::type(const std::string& keys) {
  std::string_view rest = keys;
  const Clock::time_point deadline = Clock::now() + kPatience;
  while (!rest.empty() && Clock::now() < deadline) {
    // In small portions, reading in between: a program that echoes would otherwise wait for us.
    pollfd writable = {fd_, POLLOUT, 0};
    if (::poll(&writable, 1, kLookMilliseconds) > 0 && (writable.revents & POLLOUT) != 0) {
      const ssize_t count = ::write(fd_, rest.data(), std::min<size_t>(rest.size(), 512));
      if (count < 0) return;
      rest.remove_prefix(static_cast<size_t>(count));
    }
    pollfd readable = {fd_, POLLIN, 0};
    while (::poll(&readable, 1, 0) > 0 && read_more()) {
    }
  }
}

bool Terminal::read_more() {
  char block[65536];
  const ssize_t count = ::read(fd_, block, sizeof block);
  if (count <= 0) return false;
  written_.append(block, static_cast<size_t>(count));
  return true;
}

bool Terminal::shows(const std::string& text) {
  const Clock::time_point deadline = Clock::now() + kPatience;
  for (;;) {
    const size_t at = written_.find(text, seen_);
    if (at != std::string::npos && seen_ < written_.size()) {
      seen_ = at + std::max<size_t>(text.size(), 1);
      return true;
    }
    pollfd readable = {fd_, POLLIN, 0};
    if (::poll(&readable, 1, kLookMilliseconds) > 0 && !read_more()) return false;
    if (Clock::now() > deadline) return false;
  }
}

void Terminal::vanish() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Terminal::signal(int number) const {
  ::kill(child_, number);
}

void Terminal::resize(unsigned short columns) const {
  const winsize size = {30, columns, 0, 0};
  ::ioctl(fd_, TIOCSWINSZ, &size);
}

int Terminal::exit_code() {
  const Clock::time_point deadline = Clock::now() + kPatience;
  int status = 0;
  while (::waitpid(child_, &status, WNOHANG) == 0) {
    pollfd readable = {fd_, POLLIN, 0};
    if (fd_ >= 0 && ::poll(&readable, 1, 1) > 0) read_more();
    if (fd_ < 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (Clock::now() > deadline) ::kill(child_, SIGKILL);
  }
  child_ = -1;
  while (fd_ >= 0 && read_more()) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::filesystem::path Terminal::history_path() const {
  return home_ / ".local" / "state" / "headrace" / "history";
}

std::string Terminal::history() const {
  std::ostringstream text;
  text << std::ifstream(history_path(), std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace headrace::testing
