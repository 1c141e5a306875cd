#include <algorithm>

#include <fmt/format.h>

#include "cli/exit_codes.h"
#include "cli/program_table.h"

namespace headrace::cli {
namespace {

// Text as roff reads it: a dash that can be copied, no control lines.
std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

// Lines that stay as they are, without empty ones at either end.
std::string verbatim(std::string_view text) {
  const size_t first = text.find_first_not_of('\n');
  if (first == std::string_view::npos) return "";
  text = text.substr(first, text.find_last_not_of('\n') - first + 1);
  return fmt::format(".PP\n.nf\n{}\n.fi\n", roff(text));
}

std::string flag_text(const FlagEntry& flag) {
  std::string names;
  for (const std::string& name : flag.names) {
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
  }
  if (!flag.value.empty()) names += fmt::format("{}\\fI{}\\fR", names.empty() ? "" : " ", roff(flag.value));
  return fmt::format(".TP\n{}\n{}{}\n", names, roff(flag.help), flag.required ? " (required)" : "");
}

// Under the headings of --help, in their order.
std::string flags_text(const std::vector<FlagEntry>& flags) {
  std::vector<std::string> groups;
  for (const FlagEntry& flag : flags) {
    if (std::ranges::find(groups, flag.group) == groups.end()) groups.push_back(flag.group);
  }
  std::string out;
  for (const std::string& group : groups) {
    out += fmt::format(".PP\n{}:\n", roff(group));
    for (const FlagEntry& flag : flags) {
      if (flag.group == group) out += flag_text(flag);
    }
  }
  return out;
}

std::string verb_text(const VerbEntry& verb) {
  std::string arguments;
  for (const FlagEntry& flag : verb.flags) {
    if (flag.names.empty()) arguments += fmt::format(" \\fI{}\\fR", roff(flag.value));
  }
  return fmt::format(".SS \"headrace {}\"\n{}.\n.PP\n\\fBheadrace {}\\fR{} [\\fIflags\\fR]\n{}{}",
                     roff(verb.name), roff(verb.help), roff(verb.name), arguments, flags_text(verb.flags),
                     verbatim(verb.footer));
}

// The lines of the table in exit_codes.cpp, without its heading.
std::string exit_codes() {
  const std::string_view table = exit_code_help();
  return verbatim(table.substr(table.find('\n') + 1));
}

}  // namespace

std::string man_page(const ProgramTable& table, const std::string& version) {
  std::string out = fmt::format(
      ".TH HEADRACE 1 \"\" \"headrace {}\" \"User Commands\"\n"
      ".SH NAME\nheadrace \\- run language models on this machine\n"
      ".SH SYNOPSIS\n\\fBheadrace\\fR \\fIverb\\fR [\\fIflags\\fR]\n"
      ".SH DESCRIPTION\n{}\n"
      "Answers go to standard output, everything else to standard error.\n{}"
      ".SH VERBS\n",
      roff(version), roff(table.help), flags_text(table.flags));
  for (const VerbEntry& verb : table.verbs) out += verb_text(verb);
  out += ".SH \"EXIT STATUS\"\n" + exit_codes();
  out +=
      ".SH ENVIRONMENT\n"
      "Each flag of a verb can also be given by a variable: \\fB\\-\\-ctx\\-size\\fR by "
      "\\fBHEADRACE_CTX_SIZE\\fR.\n"
      "A flag wins over its variable.\n"
      ".TP\n\\fBHEADRACE_CPU\\fR\nThe kernels to use: portable, avx2, avx512 or amx.\n"
      ".TP\n\\fBHEADRACE_CACHE\\fR\nWhere downloaded models lie.\n"
      ".TP\n\\fBXDG_CACHE_HOME\\fR, \\fBXDG_STATE_HOME\\fR\nWhere models and the history of chats lie "
      "otherwise.\n"
      ".SH FILES\n"
      ".TP\n\\fI~/.cache/headrace\\fR\nDownloaded models.\n"
      ".TP\n\\fI~/.local/state/headrace/history\\fR\nWhat was typed in chats.\n";
  return out + ".SH EXAMPLES\n" + verbatim(table.footer);
}

}  // namespace headrace::cli
