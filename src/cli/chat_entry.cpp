#include "cli/chat_entry.h"

#include "cli/output.h"
#include "cli/text_input.h"
#include "core/utf8.h"

namespace headrace::cli {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string_view without_trailing_space(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// What lies before the closing mark, if `text` (without the opening one) ends with it.
std::optional<std::string> closed(std::string_view text) {
  text = without_trailing_space(text);
  if (!text.ends_with(kBlockMark)) return std::nullopt;
  text.remove_suffix(kBlockMark.size());
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.starts_with('\n')) text.remove_prefix(1);
  return std::string(text);
}

Entry message(LineSource& source, std::string text) {
  if (!source.interactive()) warn_unless_utf8(text);
  Entry entry;
  entry.kind = Entry::Kind::message;
  entry.text = is_valid_utf8(text) ? std::move(text) : to_valid_utf8(text);
  return entry;
}

// `text` is the first line, without the opening mark.
Result<Entry> read_block(LineSource& source, std::string text) {
  std::optional<std::string> content = closed(text);
  while (!content) {
    HEADRACE_TRY(const Line line, source.read("... "));
    if (line.kind == Line::Kind::end && !source.interactive()) {
      return make_error(Errc::usage, "standard input ended inside a block that began with {}", kBlockMark);
    }
    if (line.kind != Line::Kind::text) {
      note("(block left: nothing was sent)");
      Entry entry;
      entry.kind = Entry::Kind::interrupted;
      return entry;
    }
    text += '\n';
    text += line.text;
    if (text.size() > kMaxLineBytes) {
      return make_error(Errc::out_of_budget, "a message is longer than the limit of {} bytes", kMaxLineBytes);
    }
    content = closed(line.text) ? closed(text) : std::nullopt;
  }
  source.remember(fmt::format("{}{}{}", kBlockMark, *content, kBlockMark));
  return message(source, std::move(*content));
}

}  // namespace

std::optional<Command> parse_command(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with('/')) return std::nullopt;
  const size_t end = std::min(line.find_first_of(kSpace), line.size());
  return Command{std::string(line.substr(0, end)), std::string(trimmed(line.substr(end)))};
}

Result<Entry> read_entry(LineSource& source) {
  for (;;) {
    HEADRACE_TRY(Line line, source.read(">>> "));
    Entry entry;
    if (line.kind == Line::Kind::end) return entry;
    if (line.kind == Line::Kind::interrupted) {
      entry.kind = Entry::Kind::interrupted;
      entry.empty_line = line.text.empty();
      return entry;
    }
    const std::string_view text = trimmed(line.text);
    if (text.empty()) continue;
    if (text.starts_with(kBlockMark)) {
      HEADRACE_TRY(entry, read_block(source, std::string(text.substr(kBlockMark.size()))));
      if (entry.kind == Entry::Kind::message && trimmed(entry.text).empty()) continue;
      return entry;
    }
    source.remember(line.text);
    if (std::optional<Command> command = parse_command(line.text)) {
      entry.kind = Entry::Kind::command;
      entry.command = std::move(*command);
      return entry;
    }
    return message(source, std::move(line.text));
  }
}

}  // namespace headrace::cli
