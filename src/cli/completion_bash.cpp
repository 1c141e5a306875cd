#include <fmt/format.h>

#include "cli/program_table.h"

namespace headrace::cli {
namespace {

// Bash takes ":" and "=" for ends of words, so that "smollm2:135m" and "--model=x" come in pieces: they are
// put together first, and what bash believes to be an earlier word is cut off the answers at the end.
constexpr std::string_view kBegin = R"(# Completes headrace. Written by "headrace completion bash".
_headrace_words() {
  words=()
  local i glue=
  for ((i = 0; i <= COMP_CWORD; ++i)); do
    local word=${COMP_WORDS[i]}
    if ((${#words[@]} > 0)) && { [[ $glue ]] || [[ $word == [:=]* ]]; }; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    glue=
    if [[ $word == *[:=] ]]; then glue=1; fi
  done
}

_headrace_answer() {
  local i prefix=
  mapfile -t COMPREPLY < <(compgen "$@" -- "$value")
  if [[ $COMP_WORDBREAKS == *:* && $value == *:* ]]; then prefix=${value%"${value##*:}"}; fi
  for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"$prefix"}; done
}

_headrace() {
  local words verb= flags= previous= current value i
  _headrace_words
  current=${words[-1]}
  value=$current
  if ((${#words[@]} > 1)); then previous=${words[-2]}; fi
  if [[ $current == --*=* ]]; then
    previous=${current%%=*}
    value=${current#*=}
  fi
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    if [[ ${words[i]} != -* ]]; then verb=${words[i]} && break; fi
  done
  COMPREPLY=()
  case $verb in
)";

constexpr std::string_view kEnd = R"(  esac
  _headrace_answer -W "$flags"
}
complete -F _headrace headrace
)";

std::string joined(const std::vector<std::string>& words, const char* between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string flag_names(const std::vector<FlagEntry>& flags) {
  std::string names;
  for (const FlagEntry& flag : flags) {
    if (!flag.names.empty()) names += (names.empty() ? "" : " ") + joined(flag.names, " ");
  }
  return names;
}

std::string answer_for(const FlagEntry& flag, const ProgramTable& table) {
  if (flag.takes_model()) return fmt::format("_headrace_answer -f -W '{}'", joined(table.models, " "));
  if (flag.takes_file()) return "_headrace_answer -f; compopt -o filenames 2>/dev/null || true";
  const std::vector<std::string> choices = flag.choices();
  // Nothing is better than a wrong guess where the value is a number or a text.
  return choices.empty() ? ":" : fmt::format("_headrace_answer -W '{}'", joined(choices, " "));
}

std::string positional_words(const VerbEntry& verb, const ProgramTable& table) {
  for (const FlagEntry& flag : verb.flags) {
    if (!flag.names.empty()) continue;
    return " " + joined(flag.choices().empty() ? table.models : flag.choices(), " ");
  }
  return "";
}

std::string verb_case(const VerbEntry& verb, const ProgramTable& table) {
  std::string out = fmt::format("    {})\n      case $previous in\n", verb.name);
  for (const FlagEntry& flag : verb.flags) {
    if (flag.names.empty() || flag.value.empty()) continue;
    out += fmt::format("        {}) {}; return ;;\n", joined(flag.names, "|"), answer_for(flag, table));
  }
  return out + fmt::format("      esac\n      flags='{}{}' ;;\n", flag_names(verb.flags),
                           positional_words(verb, table));
}

}  // namespace

std::string bash_completion(const ProgramTable& table) {
  std::string out(kBegin);
  std::string verbs;
  for (const VerbEntry& verb : table.verbs) verbs += verb.name + " ";
  out += fmt::format("    '') flags='{}{}' ;;\n", verbs, flag_names(table.flags));
  for (const VerbEntry& verb : table.verbs) out += verb_case(verb, table);
  return out + std::string(kEnd);
}

}  // namespace headrace::cli
