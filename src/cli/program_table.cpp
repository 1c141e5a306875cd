#include "cli/program_table.h"

#include <algorithm>
#include <string_view>

#include "cli/options.h"
#include "hub/registry.h"

namespace headrace::cli {
namespace {

FlagEntry entry_of(const CLI::Option& option) {
  FlagEntry entry;
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) entry.value = option.get_type_name();
  entry.help = option.get_description();
  entry.group = option.get_group();
  entry.required = option.get_required();
  entry.repeatable = option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  return entry;
}

std::vector<FlagEntry> flags_of(const CLI::App& app) {
  std::vector<FlagEntry> flags;
  for (const CLI::Option* option : app.get_options()) flags.push_back(entry_of(*option));
  return flags;
}

}  // namespace

bool FlagEntry::takes_file() const {
  return value == kFileValue || takes_model();
}

bool FlagEntry::takes_model() const {
  return value == kModelValue;
}

std::vector<std::string> FlagEntry::choices() const {
  std::vector<std::string> all;
  // As FILE or N is spelled, a value that can be anything begins with a capital.
  if (value.empty() || (value.front() >= 'A' && value.front() <= 'Z')) return all;
  std::string_view rest = value;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('|'), rest.size());
    all.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return all;
}

ProgramTable table_of(const CLI::App& app) {
  ProgramTable table;
  table.help = app.get_description();
  table.footer = app.get_footer();
  table.flags = flags_of(app);
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    table.verbs.push_back({verb->get_name(), verb->get_description(), verb->get_footer(), flags_of(*verb)});
  }
  for (const RegistryEntry& entry : builtin_registry()) table.models.push_back(entry.name);
  return table;
}

}  // namespace headrace::cli
