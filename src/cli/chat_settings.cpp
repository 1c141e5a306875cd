#include "cli/chat_settings.h"

#include <vector>

#include "core/file.h"

namespace headrace::cli {
namespace {

// The flags themselves, so that a limit is written down once.
void add_settings(CLI::App& app, ChatSettings& settings) {
  add_sampling_flags(app, settings.sampling);
  // A bias would be added to the ones there are; taking one back has no spelling.
  app.remove_option(app.get_option("--logit-bias"));
  add_predict_flag(app, settings.predict);
}

std::string names_of(const CLI::App& app) {
  std::string names;
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr()) continue;
    names += (names.empty() ? "" : ", ") + option->get_lnames().back();
  }
  return names;
}

}  // namespace

Status change_setting(ChatSettings& settings, const std::string& name, const std::string& value) {
  ChatSettings changed = settings;
  CLI::App app;
  app.set_help_flag();
  add_settings(app, changed);
  const CLI::Option* option = app.get_option_no_throw("--" + name);
  if (option == nullptr) {
    return make_error(Errc::usage, "no setting is called {}; there are {}", printable(name), names_of(app));
  }
  try {
    app.parse(std::vector<std::string>{"--" + name + "=" + value});
  } catch (const CLI::ParseError& error) {
    return Error{Errc::usage, printable(error.what(), 400)};
  }
  settings = changed;
  return {};
}

std::string describe(const ChatSettings& settings) {
  const SamplingParams& p = settings.sampling.params;
  std::string lines;
  const auto line = [&](std::string_view name, const std::string& value) {
    lines += fmt::format("  {:<18}{}\n", name, value);
  };
  line("temperature", fmt::format("{}", p.temperature));
  line("top-k", fmt::format("{}", p.top_k));
  line("top-p", fmt::format("{}", p.top_p));
  line("min-p", fmt::format("{}", p.min_p));
  line("repeat-penalty", fmt::format("{}", p.repeat_penalty));
  line("repeat-last-n", fmt::format("{}", p.penalty_last_n));
  line("presence-penalty", fmt::format("{}", p.presence_penalty));
  line("frequency-penalty", fmt::format("{}", p.frequency_penalty));
  line("seed", settings.sampling.seed ? fmt::format("{}", *settings.sampling.seed) : "-1 (random)");
  line("predict", fmt::format("{}", settings.predict));
  return lines;
}

}  // namespace headrace::cli
