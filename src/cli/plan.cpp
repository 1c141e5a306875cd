// headrace plan: what a run would take of the memory, before anything is loaded.
//
// Everything is made as a run makes it, except that weights stay unread: the numbers are those that the run
// books (core/memory_ledger.h), not a model of them.
#include <algorithm>
#include <limits>

#include "cache/state_store.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/system_memory.h"
#include "engine/engine_options.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kMaxParallel = 4096;
constexpr uint32_t kLeastContext = 64;  // that is worth being told of

struct PlanFlags {
  ModelFlags model;
  EngineFlags engine;
  bool json = false;
};

// The largest number up to `most` that fits, if 1 does; 0 otherwise.
template <typename Fits>
uint64_t largest(uint64_t most, Fits fits) {
  uint64_t low = 0;
  uint64_t high = most;
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    (fits(middle) ? low : high) = fits(middle) ? middle : middle - 1;
  }
  return low;
}

// What would fit instead of what was asked, everything else as planned.
Json alternatives(const PlanFlags& flags, const OpenModel& model, uint64_t cap) {
  const MemoryLedger& ledger = *model.ledger;
  const Engine& engine = *model.engine;
  const uint64_t others = ledger.used() - ledger.used(MemoryUse::kv);
  const uint64_t left = cap - std::min(cap, others);
  const auto kv_bytes = [&](uint64_t context, uint64_t sequences) {
    StateStoreOptions options;
    options.format = {flags.engine.key_type, flags.engine.value_type, EngineOptions().page_tokens};
    options.context = static_cast<uint32_t>(context);
    options.sequences = static_cast<uint32_t>(sequences);
    options.max_rows = flags.engine.batch_rows;
    return StateStore::bytes(engine.model().layer_groups(), options);
  };
  const uint64_t trained = engine.model().info().context_length;
  return {
      {"context_of_one_sequence",
       largest(trained, [&](uint64_t context) { return kv_bytes(context, 1) <= left; })},
      {"context_of_each",
       largest(trained, [&](uint64_t context) { return kv_bytes(context, flags.engine.sequences) <= left; })},
      {"sequences_at_this_context", largest(kMaxParallel, [&](uint64_t sequences) {
         return kv_bytes(engine.context(), sequences) <= left;
       })}};
}

Json plan_json(const PlanFlags& flags, const OpenModel& model) {
  const MemoryLedger& ledger = *model.ledger;
  Json parts = Json::object();
  for (size_t i = 0; i < kMemoryUses; ++i) {
    const auto use = static_cast<MemoryUse>(i);
    parts[std::string(name_of(use))] = ledger.used(use);
  }
  const bool drafts = flags.engine.speculation.any();
  return {{"model", model.path},
          {"context", model.engine->context()},
          {"sequences", flags.engine.sequences},
          {"draft_tokens", drafts ? flags.engine.speculation.most : 0},
          {"bytes", std::move(parts)},
          {"total_bytes", ledger.used()},
          {"budget_bytes", ledger.cap()},
          {"file_bytes", model.file_bytes},
          {"fits", alternatives(flags, model, ledger.cap())}};
}

std::string plan_text(const Json& plan) {
  std::string text = fmt::format("{}: {} tokens of context, {} at once", plan["model"].get<std::string>(),
                                 grouped(plan["context"].get<uint64_t>()), plan["sequences"].get<uint64_t>());
  if (plan["draft_tokens"] > 0)
    text += fmt::format(", drafts of up to {}", plan["draft_tokens"].get<uint64_t>());
  text += "\n\n";
  const auto line = [&](std::string_view name, uint64_t bytes) {
    text += fmt::format("{:<14}{:>16}  {}\n", name, grouped(bytes), human_bytes(bytes));
  };
  for (const auto& [name, bytes] : plan["bytes"].items()) line(name, bytes.get<uint64_t>());
  line("total", plan["total_bytes"]);
  line("budget", plan["budget_bytes"]);
  text +=
      fmt::format("\nThe file itself ({}) is read through the system's page cache, which is not counted.\n",
                  human_bytes(plan["file_bytes"].get<uint64_t>()));
  const Json& fits = plan["fits"];
  text += fmt::format(
      "Into this budget fit a context of {} for one sequence, of {} for each, or {} sequences as they are.\n",
      grouped(fits["context_of_one_sequence"].get<uint64_t>()),
      grouped(fits["context_of_each"].get<uint64_t>()),
      grouped(fits["sequences_at_this_context"].get<uint64_t>()));
  return text;
}

// The budget is too small: how small it may be.
Status refuse(PlanFlags& flags, const Error& why) {
  const uint64_t budget = flags.engine.memory;
  flags.engine.memory = std::numeric_limits<uint64_t>::max();
  const bool automatic = flags.engine.context == 0;
  if (automatic) flags.engine.context = kLeastContext;
  HEADRACE_TRY(const OpenModel model, open_model(flags.model, flags.engine));
  return make_error(Errc::out_of_budget,
                    "{}. With {}{} tokens of context it takes {} bytes ({}); the budget is {} ({})",
                    why.message, automatic ? "as few as " : "", flags.engine.context, model.ledger->used(),
                    human_bytes(model.ledger->used()), budget, human_bytes(budget));
}

Status plan(PlanFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  flags.engine.sizes_only = true;
  Result<OpenModel> opened = open_model(flags.model, flags.engine);
  if (!opened && opened.error().code == Errc::out_of_budget) return refuse(flags, opened.error());
  HEADRACE_TRY(const OpenModel model, std::move(opened));
  const Json plan = plan_json(flags, model);
  return flags.json ? write_json(plan) : write_out(plan_text(plan));
}

}  // namespace

void register_plan(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App& verb = *app.add_subcommand("plan", "Show what a run would take of the memory, and what fits");
  add_model_flag(verb, flags->model);
  add_engine_flags(verb, flags->engine);
  add_number(verb, "--parallel", flags->engine.sequences, 1U, kMaxParallel,
             "Answers written at once (also -np) [1]", "1 to 4096");
  add_number(verb, "--kv-tokens", flags->engine.kv_tokens, uint64_t{0}, uint64_t{1} << 40,
             "Tokens that all of them together may hold; 0: what fits [0]", "0 to 1099511627776");
  add_speculation_flags(verb, flags->engine.speculation);
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--json", flags->json, "Print it as JSON");
  verb.footer(
      "\nThe same flags mean the same for run, chat and batch, which refuse to begin where --memory is "
      "less.\n\n"
      "Example:\n  headrace plan -m smollm2:135m --memory 400M -np 8\n");
  verb.callback([flags, &action] { action = [flags] { return plan(*flags); }; });
}

}  // namespace headrace::cli
