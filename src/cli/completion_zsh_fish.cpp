#include <fmt/format.h>

#include "cli/program_table.h"

namespace headrace::cli {
namespace {

// Inside single quotes; `more` are the characters that the shell's own completion language reads.
std::string quoted(std::string_view text, std::string_view more) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (more.find(c) != std::string_view::npos)
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

std::string zsh_values(const FlagEntry& flag, const ProgramTable& table) {
  if (flag.takes_model()) return "->model";
  if (flag.takes_file()) return "_files";
  std::vector<std::string> choices = flag.choices();
  if (choices.empty() && flag.names.empty()) choices = table.models;
  if (choices.empty()) return " ";
  for (std::string& choice : choices) choice = quoted(choice, ":\\");
  return fmt::format("({})", fmt::join(choices, " "));
}

std::string zsh_flag(const FlagEntry& flag, const ProgramTable& table) {
  const std::string value =
      flag.value.empty() ? "" : fmt::format(":{}:{}", quoted(flag.value, ":\\"), zsh_values(flag, table));
  if (flag.names.empty()) return fmt::format("        '1{}' \\\n", value);
  const std::string help = quoted(flag.help, "[]:\\");
  const std::string once = flag.repeatable ? "*" : fmt::format("({})", fmt::join(flag.names, " "));
  std::string lines;
  for (const std::string& name : flag.names) {
    const bool glued = name.starts_with("--") && !flag.value.empty();
    lines += fmt::format("        '{}{}{}[{}]{}' \\\n", once, name, glued ? "=" : "", help, value);
  }
  return lines;
}

std::string fish_values(const FlagEntry& flag, const ProgramTable& table) {
  if (flag.takes_model()) return fmt::format(" -r -F -a '{}'", fmt::join(table.models, " "));
  if (flag.takes_file()) return " -r -F";
  const std::vector<std::string> choices = flag.choices();
  if (!choices.empty()) return fmt::format(" -x -a '{}'", fmt::join(choices, " "));
  return " -x";
}

std::string fish_flag(const FlagEntry& flag, const ProgramTable& table, const std::string& condition) {
  std::string line = fmt::format("complete -c headrace -n '{}'", condition);
  if (flag.names.empty()) {
    const std::vector<std::string> words = flag.choices().empty() ? table.models : flag.choices();
    return line + fmt::format(" -a '{}'\n", fmt::join(words, " "));
  }
  for (const std::string& name : flag.names) {
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (!flag.value.empty()) line += fish_values(flag, table);
  return line + fmt::format(" -d '{}'\n", quoted(flag.help, "\\"));
}

}  // namespace

std::string zsh_completion(const ProgramTable& table) {
  std::string out =
      "#compdef headrace\n"
      "# Completes headrace. Written by \"headrace completion zsh\".\n"
      "_headrace() {\n"
      "  local state line curcontext=$curcontext\n"
      "  local -a verbs=(\n";
  for (const VerbEntry& verb : table.verbs) {
    out += fmt::format("    '{}:{}'\n", verb.name, quoted(verb.help, ":\\"));
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe 'verb' verbs\n"
      "    _arguments";
  for (const FlagEntry& flag : table.flags) {
    for (const std::string& name : flag.names)
      out += fmt::format(" '{}[{}]'", name, quoted(flag.help, "[]:\\"));
  }
  out +=
      "\n    return\n"
      "  fi\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $words[1] in\n";
  for (const VerbEntry& verb : table.verbs) {
    out += fmt::format("    {})\n      _arguments -C \\\n", verb.name);
    for (const FlagEntry& flag : verb.flags) out += zsh_flag(flag, table);
    out += "        ;;\n";
  }
  out += "  esac\n  if [[ $state == model ]]; then\n";
  out += fmt::format("    local -a models=({})\n", fmt::join(table.models, " "));
  return out +
         "    compadd -a models\n"
         "    _files\n"
         "  fi\n"
         "}\n"
         "if [[ $funcstack[1] == _headrace ]]; then _headrace; else compdef _headrace headrace; fi\n";
}

std::string fish_completion(const ProgramTable& table) {
  std::string out =
      "# Completes headrace. Written by \"headrace completion fish\".\n"
      "complete -c headrace -f\n";
  for (const FlagEntry& flag : table.flags) out += fish_flag(flag, table, "__fish_use_subcommand");
  for (const VerbEntry& verb : table.verbs) {
    out += fmt::format("complete -c headrace -n __fish_use_subcommand -a {} -d '{}'\n", verb.name,
                       quoted(verb.help, "\\"));
  }
  for (const VerbEntry& verb : table.verbs) {
    const std::string condition = "__fish_seen_subcommand_from " + verb.name;
    for (const FlagEntry& flag : verb.flags) out += fish_flag(flag, table, condition);
  }
  return out;
}

}  // namespace headrace::cli
