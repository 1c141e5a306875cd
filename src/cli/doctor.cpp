// headrace doctor: what this machine offers and what Headrace makes of it.
#include <memory>

#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/processor.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/memory_ledger.h"
#include "core/system_memory.h"
#include "core/threads.h"
#include "hub/model_cache.h"
#include "hub/pip_config.h"
#include "ops/cpu/machine_kernels.h"

namespace headrace::cli {
namespace {

Json tier_facts() {
  Json tiers = Json::object();
  for (size_t i = 0; i < cpu::kTiers; ++i) {
    const auto tier = static_cast<cpu::Tier>(i);
    tiers[std::string(cpu::name_of(tier))] = cpu::missing_for(tier).value_or("available");
  }
  return tiers;
}

std::string machine_facts(cpu::Tier tier) {
  const cpu::MachineKernels* kernels = cpu::machine_kernels(tier);
  if (kernels == nullptr) return "available, here the same as exact";
  return fmt::format("available, BF16 weights by {}, activations {}", kernels->name,
                     kernels->pieces == 1 ? "rounded to bf16" : "as they are");
}

void add_cache_facts(Json& facts) {
  const Result<std::filesystem::path> cache = cache_folder(process_environment());
  facts["cache"] = cache ? cache->string() : cache.error().message;
  if (!cache) return;
  Json models = Json::object();
  for (const RegistryEntry& entry : builtin_registry()) {
    std::error_code missing;
    const bool there = std::filesystem::exists(model_path(*cache, entry), missing);
    models[entry.name] = there ? model_path(*cache, entry).string() : "not downloaded";
  }
  facts["models"] = std::move(models);
}

void add_index_facts(Json& facts) {
  const Result<PipConfig> pip = read_pip_config(process_environment());
  Json indexes = Json::array();
  if (!pip)
    indexes.push_back(pip.error().message);
  else
    for (const Url& url : pip->indexes) indexes.push_back(url.display());
  facts["package_indexes"] = std::move(indexes);
}

std::string as_lines(const Json& facts) {
  std::string lines;
  const auto line = [&](std::string_view key, const std::string& value) {
    lines += fmt::format("{:<18}{}\n", key, value);
  };
  for (const auto& [key, value] : facts.items()) {
    if (value.is_object()) {
      for (const auto& [name, text] : value.items())
        line(key, fmt::format("{}: {}", name, text.get<std::string>()));
    } else if (value.is_array()) {
      std::string list;
      for (const Json& item : value) list += (list.empty() ? "" : " ") + item.get<std::string>();
      line(key, list.empty() ? "none" : list);
    } else if (key == "memory_available") {
      line(key, human_bytes(value.get<uint64_t>()));
    } else {
      line(key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return lines;
}

Status doctor(bool json) {
  HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
  Json facts = {
      {"version", HEADRACE_VERSION},
      {"processor", processor_name()},
      {"features", processor_features()},
      {"tiers", tier_facts()},
      {"tier", cpu::name_of(tier)},
      {"numerics", {{"exact", "the default"}, {"machine", machine_facts(tier)}, {"fast", "not built yet"}}},
      {"threads", default_thread_count()},
      {"memory_available", available_memory_bytes()}};
  add_cache_facts(facts);
  add_index_facts(facts);
  return json ? write_json(facts) : write_out(as_lines(facts));
}

}  // namespace

void register_doctor(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App& verb = *app.add_subcommand("doctor", "Show what this machine offers");
  verb.add_flag("--json", *json, "Print it as JSON");
  verb.footer(
      "\nHEADRACE_CPU=portable|avx2|avx512|amx forces the kernels; a tier that is not available is an "
      "error.\n");
  verb.callback([json, &action] { action = [json] { return doctor(*json); }; });
}

}  // namespace headrace::cli
