#include "cli/answer_terminal.h"

#include <unistd.h>

#include "core/utf8.h"

namespace headrace::cli {

AnswerTerminal::AnswerTerminal(bool interactive) {
  if (!interactive || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios quiet = before_;
  // Line by line (ICANON) the terminal would cut a long paste off.
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  changed_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet) == 0;
}

AnswerTerminal::~AnswerTerminal() {
  if (changed_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

std::string safe_for_terminal(std::string_view text) {
  std::string safe;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    const bool control = next.code_point < 0x20 || (next.code_point >= 0x7f && next.code_point < 0xa0);
    if (!control || next.code_point == '\n' || next.code_point == '\t') safe += text.substr(at, next.size);
    at += next.size;
  }
  return safe;
}

}  // namespace headrace::cli
