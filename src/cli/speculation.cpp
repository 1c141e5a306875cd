#include "cli/speculation.h"

#include "cli/open_model.h"
#include "cli/options.h"
#include "decode/draft.h"
#include "decode/ngram_drafter.h"
#include "decode/retained_layers.h"
#include "engine/model_drafter.h"
#include "engine/self_drafter.h"

namespace headrace::cli {
namespace {

constexpr std::string_view kSelf = "self:skip=";
constexpr uint32_t kMostSkipped = 64;
constexpr uint32_t kMaxWindow = 4096;

// T of self:skip=T.
std::optional<uint32_t> skip_of(std::string_view type) {
  if (!type.starts_with(kSelf)) return std::nullopt;
  const std::optional<uint32_t> skip = parse_number<uint32_t>(type.substr(kSelf.size()));
  return skip && *skip >= 2 && *skip <= kMostSkipped ? skip : std::nullopt;
}

}  // namespace

bool is_spec_type(std::string_view type) {
  return type == "none" || type == "auto" || type == "ngram" || type == "model" || skip_of(type);
}

bool is_schedule(std::string_view name) {
  return name == "ragged" || name == "exspec" || name == "eqspec";
}

void add_window_flag(CLI::App& app, SpeculationFlags& flags) {
  add_number(app, "--spec-window", flags.window, 1U, kMaxWindow, "Sequences that exspec chooses from [48]",
             "1 to 4096");
}

void add_speculation_flags(CLI::App& app, SpeculationFlags& flags) {
  begin_group(app, "Drafts");
  app.add_option(
         "--spec-type", flags.type,
         "Who proposes tokens that one step checks together: ngram (what followed the same words before), "
         "model (a smaller one, -md), self:skip=T (one layer in T of the model itself), auto (ngram, and the "
         "model of -md where that has less to say) or none. Answers stay the same [none]")
      ->check([](const std::string& text) {
        return is_spec_type(text) ? std::string()
                                  : "expected none, auto, ngram, model or self:skip=T, found '" + text + "'";
      })
      ->type_name("TYPE");
  app.add_option("--model-draft", flags.draft_model, "The draft model, with the same vocabulary (also -md)")
      ->type_name(kModelValue);
  app.add_option_function<std::string>(
         "--spec-rule",
         [&flags](const std::string& text) {
           flags.rule = text == "rejection" ? DraftRule::rejection : DraftRule::coupled;
         },
         "Which drafts are taken: those that plain decoding would draw, so that answers are the same bits "
         "(coupled), or as many as keep the distribution of answers (rejection) [coupled]")
      ->check([](const std::string& text) {
        return text == "coupled" || text == "rejection"
                   ? std::string()
                   : "expected coupled or rejection, found '" + text + "'";
      })
      ->type_name("coupled|rejection");
  add_number(app, "--draft-max", flags.most, 1U, kMaxDraftNodes, "Tokens of a draft at most [8]", "1 to 63");
  add_number(
      app, "--draft-branches", flags.branches, 1U, kMaxDraftBranches,
      "Ways in which a draft may go on: more than one make it a tree, of which at most one way is right "
      "[1]",
      "1 to 8");
  app.add_flag("--draft-fixed", flags.fixed,
               "Always draft as many as --draft-max says, not as many as pay at the moment");
}

Result<SpeculationOptions> speculation_of(const SpeculationFlags& flags) {
  SpeculationOptions options;
  options.most = flags.most;
  options.branches = flags.branches;
  options.automatic = !flags.fixed;
  options.rule = flags.rule;
  const bool has_model = !flags.draft_model.empty();
  const std::string type = has_model && flags.type == "none" ? "model" : flags.type;
  if (type == "model" ? !has_model : has_model && type != "auto") {
    return make_error(Errc::usage, "--spec-type {} {} a --model-draft", type,
                      has_model ? "has no use for" : "needs");
  }
  DrafterMaker model;
  if (has_model) {
    HEADRACE_TRY(ModelFile opened, open_model_file({flags.draft_model}));
    const auto file = std::make_shared<const ModelFile>(std::move(opened));
    model = [file](const DrafterWorld& world) { return make_model_drafter(*file, world); };
    options.sizer = [file](Backend& backend, const EngineOptions& engine) {
      return model_drafter_bytes(*file, backend, engine);
    };
  }
  if (type == "ngram" || type == "auto") {
    options.drafter = [](const DrafterWorld&) -> Result<std::unique_ptr<Drafter>> {
      return make_ngram_drafter();
    };
    options.second = model;
  } else if (const std::optional<uint32_t> skip = skip_of(type)) {
    options.drafter = [skip](const DrafterWorld& world) {
      return make_self_drafter(retained_layers(world.model.info().n_layers, *skip), world);
    };
  } else if (type == "model") {
    options.drafter = model;
  }
  return options;
}

}  // namespace headrace::cli
