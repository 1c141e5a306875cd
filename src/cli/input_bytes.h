// Standard input byte by byte, woken by signals: whoever waits for a key must notice Ctrl-C, too.
#pragma once

#include <array>
#include <cstddef>

namespace headrace::cli {

class InputBytes {
 public:
  enum class Kind {
    byte,
    signal,   // interrupted() is set
    changed,  // take_terminal_change() was
    end,      // end of file, or the terminal is gone
    failed,
  };
  struct Got {
    Kind kind;
    char byte = 0;
    int error = 0;  // an errno, if it failed
  };

  /// Waits until there is something.
  Got next_byte();

 private:
  std::array<char, 65536> block_;
  size_t at_ = 0;
  size_t size_ = 0;
};

}  // namespace headrace::cli
