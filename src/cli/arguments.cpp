#include "cli/arguments.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace headrace::cli {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kLongNames = {{
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
    {"-tb", "--threads-batch"},
    {"-np", "--parallel"},
    {"-md", "--model-draft"},
    {"-sys", "--system-prompt"},
    {"-ub", "--ubatch-size"},
    {"-pg", "--pg"},
    {"-npp", "--npp"},
    {"-ntg", "--ntg"},
    {"-npl", "--npl"},
    {"-pps", "--pps"},
}};

bool is_text_flag(std::string_view argument) {
  return argument.starts_with("-p") || argument.starts_with("-f") || argument == "--prompt" ||
         argument == "--file" || argument.starts_with("--prompt=") || argument.starts_with("--file=");
}

std::string variable_of(std::string_view long_name) {
  std::string name = "HEADRACE_";
  for (const char c : long_name)
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

}  // namespace

std::vector<std::string> translate_arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto found = std::ranges::find(kLongNames, argument, [](const auto& entry) { return entry.first; });
    arguments.emplace_back(found == kLongNames.end() ? argument : found->second);
  }
  return arguments;
}

std::optional<std::string> unknown_flag(const std::vector<std::string>& arguments) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.size() > 2 && argument[0] == '-' && letter(argument[1]) && letter(argument[2]))
      return argument;
  }
  return std::nullopt;
}

void name_environment(CLI::App& app, const std::vector<std::string>& arguments) {
  const auto verb = std::ranges::find_if(arguments, [](const std::string& a) { return !a.starts_with('-'); });
  if (verb == arguments.end()) return;
  // Only the chosen verb: CLI11 would check a variable against the flags of all verbs.
  const std::vector<CLI::App*> chosen =
      app.get_subcommands([&](CLI::App* sub) { return sub->get_name() == *verb; });
  if (chosen.empty()) return;
  const bool text_given = std::ranges::any_of(arguments, is_text_flag);
  for (CLI::Option* option : chosen.front()->get_options()) {
    const std::vector<std::string>& names = option->get_lnames();
    if (names.empty() || names.front() == "help") continue;
    if (text_given && (names.front() == "prompt" || names.front() == "file")) continue;
    option->envname(variable_of(names.front()));
  }
}

}  // namespace headrace::cli
