// What a user enters in a chat: messages, blocks of several lines, commands.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/line_source.h"
#include "core/result.h"

namespace headrace::cli {

/// Opens and closes a block.
inline constexpr std::string_view kBlockMark = "\"\"\"";

struct Command {
  std::string name;  // "/set"
  std::string rest;  // what follows, without spaces around it
};

/// The line as a command if it begins with "/".
std::optional<Command> parse_command(std::string_view line);

struct Entry {
  enum class Kind { message, command, end, interrupted };
  Kind kind = Kind::end;
  std::string text;  // of a message: valid UTF-8, without the marks of a block
  Command command;
  bool empty_line = false;  // interrupted on a line that had nothing on it
};

/// Reads until there is an entry; empty lines are passed over. What a block encloses is a message, whatever
/// it begins with. Ctrl-C and Ctrl-D in a block leave the block. Fails with usage where input ends inside a
/// block and nobody is there to be told.
Result<Entry> read_entry(LineSource& source);

}  // namespace headrace::cli
