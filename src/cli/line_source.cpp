#include "cli/line_source.h"

#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/input_bytes.h"
#include "cli/line_editor.h"
#include "cli/output.h"

namespace headrace::cli {
namespace {

// Lines as they come, from a pipe or from a terminal that does its own editing.
class PlainLines final : public LineSource {
 public:
  explicit PlainLines(bool interactive) : interactive_(interactive) {}

  Result<Line> read(const std::string& prompt) override;
  void remember(const std::string&) override {}
  bool interactive() const override { return interactive_; }

 private:
  bool interactive_;
  InputBytes input_;
};

Result<Line> PlainLines::read(const std::string& prompt) {
  if (interactive_) {
    std::fputs(prompt.c_str(), stderr);
    std::fflush(stderr);
  }
  Line line;
  for (;;) {
    const InputBytes::Got got = input_.next_byte();
    switch (got.kind) {
      case InputBytes::Kind::byte:
        break;
      case InputBytes::Kind::signal:
        if (interactive_) note("");
        return Line{Line::Kind::interrupted, std::move(line.text)};
      case InputBytes::Kind::changed:
        continue;
      case InputBytes::Kind::end:
        line.kind = line.text.empty() ? Line::Kind::end : Line::Kind::text;
        if (interactive_) note("");
        return line;
      case InputBytes::Kind::failed:
        return make_error(Errc::io, "standard input: {}", std::strerror(got.error));
    }
    if (got.byte == '\n') {
      if (line.text.ends_with('\r')) line.text.pop_back();
      line.kind = Line::Kind::text;
      return line;
    }
    if (line.text.size() >= kMaxLineBytes) {
      return make_error(Errc::out_of_budget, "standard input: a line is longer than the limit of {} bytes",
                        kMaxLineBytes);
    }
    line.text += got.byte;
  }
}

bool terminal_can_edit() {
  const char* term = std::getenv("TERM");
  return term != nullptr && *term != '\0' && std::strcmp(term, "dumb") != 0;
}

}  // namespace

std::unique_ptr<LineSource> open_line_source() {
  const bool interactive = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  if (interactive && terminal_can_edit()) {
    if (std::unique_ptr<LineSource> editor = open_line_editor()) return editor;
  }
  return std::make_unique<PlainLines>(interactive);
}

}  // namespace headrace::cli
