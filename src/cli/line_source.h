// Lines from a person or a pipe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/result.h"

namespace headrace::cli {

inline constexpr size_t kMaxLineBytes = size_t{16} << 20;

struct Line {
  enum class Kind {
    text,
    end,          // of the input, or Ctrl-D, or the terminal is gone
    interrupted,  // Ctrl-C; `text` is what had been typed
  };
  Kind kind = Kind::end;
  std::string text;  // without its newline; more than one line if it was pasted
};

class LineSource {
 public:
  virtual ~LineSource() = default;

  /// The next line. `prompt` is shown if somebody is there. Fails with io, or out_of_budget for a line beyond
  /// kMaxLineBytes.
  virtual Result<Line> read(const std::string& prompt) = 0;
  /// For the arrow keys, in this conversation and later ones.
  virtual void remember(const std::string& entry) = 0;
  /// Whether somebody is there who can be asked.
  virtual bool interactive() const = 0;
};

/// A line editor (line_editor.h) if standard input and standard error are a terminal that can move its
/// cursor, otherwise plain lines.
std::unique_ptr<LineSource> open_line_source();

}  // namespace headrace::cli
