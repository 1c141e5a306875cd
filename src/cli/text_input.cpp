#include "cli/text_input.h"

#include "cli/output.h"
#include "core/file.h"
#include "core/utf8.h"

namespace headrace::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

}  // namespace

Result<std::string> read_input(const TextFlags& flags) {
  if (flags.prompt && flags.file) return make_error(Errc::usage, "--prompt and --file exclude each other");
  if (flags.prompt) return *flags.prompt;
  if (flags.file) return read_text(*flags.file, kMaxTextBytes);
  return make_error(Errc::usage, "no text: give -p TEXT or -f FILE ('-' for standard input)");
}

void warn_unless_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return;
  warn("the text is not valid UTF-8: each invalid sequence is read as U+FFFD");
}

}  // namespace headrace::cli
