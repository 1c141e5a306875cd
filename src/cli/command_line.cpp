#include "cli/command_line.h"

#include <algorithm>

#include <exception>
#include <new>
#include <optional>

#include <spdlog/sinks/stdout_color_sinks.h>

#include "cli/arguments.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"

namespace headrace::cli {
namespace {

constexpr size_t kMaxErrorBytes = 4096;

constexpr const char* kExamples =
    "Examples:\n"
    "  headrace pull smollm2:135m                         fetch a small model\n"
    "  headrace run -m smollm2:135m -p \"Why is rain wet?\"  ask it something\n"
    "  headrace run -m model.gguf -f letter.txt -n 200 --temp 0\n"
    "  headrace chat -m smollm2:135m                      talk with it\n"
    "  headrace batch -m smollm2:135m in.jsonl out.jsonl  answer a file of requests\n"
    "  headrace info -m model.gguf                        what is in a model file\n"
    "  headrace bench -m smollm2:135m                     how fast it runs here\n"
    "  headrace doctor                                    what this machine offers\n"
    "\n"
    "Each flag of a verb can also be given by the environment: --ctx-size is HEADRACE_CTX_SIZE.\n"
    "HEADRACE_CPU=portable|avx2|avx512|amx forces the kernels, HEADRACE_CACHE moves downloaded models.\n"
    "\n";

void log_to_standard_error() {
  auto logger = spdlog::stderr_color_mt("headrace");
  logger->set_pattern("%n: %l: %v");
  spdlog::set_default_logger(std::move(logger));
}

int report(const Error& error) {
  const bool interruption = error.code == Errc::cancelled;
  // Messages quote file names and flags as they are; a line must stay a line.
  note(
      fmt::format("headrace: {}{}", interruption ? "" : "error: ", printable(error.message, kMaxErrorBytes)));
  return exit_code_of(error.code);
}

// Without the variables' names, which make --help twice as long and are explained once at its end.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text;
    if (option->get_items_expected_max() > 0) text += " " + option->get_type_name();
    if (option->get_required()) text += " (required)";
    return text;
  }
};

// Nothing if the command line was understood.
std::optional<int> parse(CLI::App& app, std::vector<std::string> arguments) {
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& stop) {
    if (stop.get_exit_code() == 0) {  // --help, --version
      app.exit(stop);
      return kExitOk;
    }
    return report({Errc::usage, std::string(stop.what()) + "; see --help"});
  }
  return std::nullopt;
}

int act(const Action& action) {
  try {
    const Status done = action();
    return done ? kExitOk : report(done.error());
  } catch (const std::bad_alloc&) {
    return report({Errc::out_of_budget, "the system refused memory"});
  } catch (const std::exception& unexpected) {
    return report({Errc::io, std::string("unexpected: ") + unexpected.what()});
  }
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  install_interrupt_handler();
  log_to_standard_error();
  CLI::App app("Headrace runs language models on this machine.", "headrace");
  app.set_version_flag("--version", "headrace " HEADRACE_VERSION);
  app.footer(std::string("\n") + kExamples + exit_code_help());
  app.require_subcommand(0, 1);
  app.formatter(std::make_shared<HelpFormatter>());
  // Of a repeated flag the last one counts, so that an alias can be overruled.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Action action;
  register_run(app, action);
  register_chat(app, action);
  register_batch(app, action);
  register_info(app, action);
  register_plan(app, action);
  register_perplexity(app, action);
  register_bench(app, action);
  register_verify(app, action);
  register_pull(app, action);
  register_doctor(app, action);
  register_tokenize(app, action);
  register_detokenize(app, action);
  register_apply_template(app, action);
  register_completion(app, action);
  register_man(app, action);

  std::vector<std::string> arguments = translate_arguments(argc, argv);
  if (const std::optional<std::string> flag = unknown_flag(arguments)) {
    return report({Errc::usage, "unknown flag " + printable(*flag) + "; see --help"});
  }
  name_environment(app, arguments);
  if (const std::optional<int> done = parse(app, std::move(arguments))) return *done;
  if (!action) {
    note(app.help());
    return kExitUsage;
  }
  return act(action);
}

}  // namespace headrace::cli
