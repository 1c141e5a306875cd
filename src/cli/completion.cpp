// headrace completion: a script that completes headrace's command lines in a shell.
#include <memory>

#include "cli/output.h"
#include "cli/program_table.h"
#include "cli/verbs.h"

namespace headrace::cli {
namespace {

std::string script_for(const std::string& shell, const ProgramTable& table) {
  if (shell == "bash") return bash_completion(table);
  return shell == "zsh" ? zsh_completion(table) : fish_completion(table);
}

}  // namespace

void register_completion(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App& verb = *app.add_subcommand("completion", "Print a completion script for a shell");
  verb.add_option("shell", *shell, "The shell")
      ->required()
      ->check([](const std::string& text) {
        const bool known = text == "bash" || text == "zsh" || text == "fish";
        return known ? std::string() : "expected bash, zsh or fish, found '" + text + "'";
      })
      ->type_name("bash|zsh|fish");
  verb.footer(
      "\nExamples:\n"
      "  source <(headrace completion bash)\n"
      "  headrace completion fish > ~/.config/fish/completions/headrace.fish\n");
  verb.callback([shell, &app, &action] {
    action = [shell, &app] { return write_out(script_for(*shell, table_of(app))); };
  });
}

void register_man(CLI::App& app, Action& action) {
  CLI::App& verb = *app.add_subcommand("man", "Print the manual page");
  verb.footer("\nExample:\n  headrace man | man -l -\n");
  verb.callback(
      [&app, &action] { action = [&app] { return write_out(man_page(table_of(app), HEADRACE_VERSION)); }; });
}

}  // namespace headrace::cli
