// The terminal while an answer streams to it.
#pragma once

#include <termios.h>
#include <string>
#include <string_view>

namespace headrace::cli {

/// As long as it lives, keys are not shown in the midst of the answer but kept for the next line; Ctrl-C and
/// Ctrl-Z are signals as ever.
class AnswerTerminal {
 public:
  explicit AnswerTerminal(bool interactive);
  ~AnswerTerminal();
  AnswerTerminal(const AnswerTerminal&) = delete;
  AnswerTerminal& operator=(const AnswerTerminal&) = delete;

 private:
  bool changed_ = false;
  termios before_{};
};

/// `text` (valid UTF-8) without control characters but newline and tab: a model must not move the cursor.
std::string safe_for_terminal(std::string_view text);

}  // namespace headrace::cli
