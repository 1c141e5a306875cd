// Runs the headrace program on a pseudo-terminal, as a person would sit before it.
#pragma once

#include <sys/types.h>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace headrace::testing {

/// What a terminal sends for keys.
inline constexpr const char* kEnter = "\r";
inline constexpr const char* kUp = "\033[A";
inline constexpr const char* kLeft = "\033[D";
inline constexpr const char* kCtrlC = "\003";
inline constexpr const char* kCtrlD = "\004";

/// `text` between the marks of a bracketed paste, newlines as carriage returns.
std::string pasted(std::string text);

class Terminal {
 public:
  /// A home of its own below test_folder(), a screen of 100 columns and 30 rows.
  explicit Terminal(const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& environment = {});
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys);
  /// Waits until the program has written `text` after what the last successful wait found; false after a
  /// minute or if the program ends without. An empty text stands for anything.
  bool shows(const std::string& text);
  /// Types a line once the prompt is there.
  bool enter(const std::string& line) { return shows(">>> ") && (type(line + kEnter), true); }
  /// Closes the terminal, as if its window was closed.
  void vanish();
  void signal(int number) const;
  void resize(unsigned short columns) const;
  /// Waits for the end; 128 + the number of the signal that ended it.
  int exit_code();

  /// Everything that was written so far.
  const std::string& written() const { return written_; }
  /// The history file, entries separated by newlines.
  std::string history() const;
  std::filesystem::path history_path() const;

 private:
  bool read_more();

  std::filesystem::path home_;
  pid_t child_ = -1;
  int fd_ = -1;
  std::string written_;
  size_t seen_ = 0;
};

}  // namespace headrace::testing
