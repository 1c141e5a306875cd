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
#include "decode/draft.h"
#include "engine/engine_options.h"

namespace headrace::cli {
namespace {

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

// What might fit instead of what was asked, judged by the cache alone.
struct Guesses {
  uint64_t context_of_one = 0;
  uint64_t context_of_each = 0;
  uint64_t sequences = 0;
};
Guesses guess(const PlanFlags& flags, const OpenModel& model) {
  const MemoryLedger& ledger = *model.ledger;
  const Engine& engine = *model.engine;
  const uint64_t left = ledger.cap() - std::min(ledger.cap(), ledger.used() - ledger.used(MemoryUse::kv));
  const auto fits = [&](uint64_t context, uint64_t sequences) {
    EngineOptions options;
    options.key_type = flags.engine.key_type;
    options.value_type = flags.engine.value_type;
    options.batch_rows = flags.engine.batch_rows;
    options.context = static_cast<uint32_t>(context);
    options.sequences = static_cast<uint32_t>(sequences);
    return StateStore::bytes(engine.model().layer_groups(), store_options(options)) <= left;
  };
  const uint64_t trained = engine.model().info().context_length;
  return {largest(trained, [&](uint64_t context) { return fits(context, 1); }),
          largest(trained, [&](uint64_t context) { return fits(context, flags.engine.sequences); }),
          largest(kMaxParallel, [&](uint64_t sequences) { return fits(engine.context(), sequences); })};
}

// The other parts grow a little, too: so each guess is planned, and made smaller until it fits.
template <typename Set>
uint64_t made_sure(const PlanFlags& flags, uint64_t guess, Set set) {
  for (uint64_t n = guess; n > 0; n = n * 15 / 16) {
    EngineFlags engine = flags.engine;
    engine.kv_tokens = 0;
    set(engine, static_cast<uint32_t>(n));
    if (open_model(flags.model, engine)) return n;
  }
  return 0;
}

Json alternatives(const PlanFlags& flags, const Guesses& guesses, uint32_t context) {
  const auto longest_drafts = [&](EngineFlags& engine, uint32_t n) {
    engine.context = context;
    engine.speculation.most = n;
  };
  const bool drafts = flags.engine.speculation.any();
  return {
      {"draft_tokens_at_this_context", drafts ? made_sure(flags, kMaxDraftNodes, longest_drafts) : 0},
      {"context_of_one_sequence", made_sure(flags, guesses.context_of_one,
                                            [](EngineFlags& engine, uint32_t n) {
                                              engine.context = n;
                                              engine.sequences = 1;
                                            })},
      {"context_of_each", made_sure(flags, guesses.context_of_each,
                                    [](EngineFlags& engine, uint32_t n) { engine.context = n; })},
      {"sequences_at_this_context", made_sure(flags, guesses.sequences, [&](EngineFlags& engine, uint32_t n) {
         engine.context = context;
         engine.sequences = n;
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
          {"draft_branches", drafts ? flags.engine.speculation.branches : 0},
          {"bytes", std::move(parts)},
          {"total_bytes", ledger.used()},
          {"budget_bytes", ledger.cap()},
          {"file_bytes", model.file_bytes}};
}

std::string plan_text(const Json& plan) {
  std::string text = fmt::format("{}: {} tokens of context, {} at once", plan["model"].get<std::string>(),
                                 grouped(plan["context"].get<uint64_t>()), plan["sequences"].get<uint64_t>());
  if (plan["draft_tokens"] > 0)
    text += fmt::format(", drafts of up to {}", plan["draft_tokens"].get<uint64_t>());
  if (plan["draft_branches"] > 1)
    text += fmt::format(" in {} branches", plan["draft_branches"].get<uint64_t>());
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
      "Into this budget fit a context of {} for one sequence, of {} for each, or {} sequences as they are",
      grouped(fits["context_of_one_sequence"].get<uint64_t>()),
      grouped(fits["context_of_each"].get<uint64_t>()),
      grouped(fits["sequences_at_this_context"].get<uint64_t>()));
  if (plan["draft_tokens"] > 0)
    text += fmt::format(", or drafts of {}", fits["draft_tokens_at_this_context"].get<uint64_t>());
  text += ".\n";
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

struct Planned {
  Json plan;
  Guesses guesses;
};
// Closes the model again: its memory would count as the next one's.
Result<Planned> look(const PlanFlags& flags) {
  HEADRACE_TRY(const OpenModel model, open_model(flags.model, flags.engine));
  return Planned{plan_json(flags, model), guess(flags, model)};
}

Status plan(PlanFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  flags.engine.sizes_only = true;
  Result<Planned> looked = look(flags);
  if (!looked && looked.error().code == Errc::out_of_budget) return refuse(flags, looked.error());
  HEADRACE_TRY(Planned planned, std::move(looked));
  Json& plan = planned.plan;
  plan["fits"] = alternatives(flags, planned.guesses, plan["context"]);
  return flags.json ? write_json(plan) : write_out(plan_text(plan));
}

}  // namespace

void register_plan(CLI::App& app, Action& action) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App& verb = *app.add_subcommand("plan", "Show what a run would take of the memory, and what fits");
  add_model_flag(verb, flags->model);
  add_engine_flags(verb, flags->engine);
  add_parallel_flags(verb, flags->engine);
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
