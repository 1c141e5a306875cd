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

// T of self:skip=T.
std::optional<uint32_t> skip_of(std::string_view type) {
  if (!type.starts_with(kSelf)) return std::nullopt;
  const std::optional<uint32_t> skip = parse_number<uint32_t>(type.substr(kSelf.size()));
  return skip && *skip >= 2 && *skip <= kMostSkipped ? skip : std::nullopt;
}

}  // namespace

bool is_spec_type(std::string_view type) {
  return type == "none" || type == "ngram" || type == "model" || skip_of(type);
}

void add_speculation_flags(CLI::App& app, SpeculationFlags& flags) {
  begin_group(app, "Drafts");
  app.add_option(
         "--spec-type", flags.type,
         "Who proposes tokens that one step checks together: ngram (what followed the same words before), "
         "model "
         "(a smaller one, -md), self:skip=T (one layer in T of the model itself) or none. Answers stay the "
         "same [none]")
      ->check([](const std::string& text) {
        return is_spec_type(text) ? std::string()
                                  : "expected none, ngram, model or self:skip=T, found '" + text + "'";
      })
      ->type_name("TYPE");
  app.add_option("--model-draft", flags.draft_model, "The draft model, with the same vocabulary (also -md)")
      ->type_name(kModelValue);
  add_number(app, "--draft-max", flags.most, 1U, kMaxDraftNodes, "Tokens of a draft at most [8]", "1 to 63");
  app.add_flag("--draft-fixed", flags.fixed,
               "Always draft as many as --draft-max says, not as many as pay at the moment");
}

Result<SpeculationOptions> speculation_of(const SpeculationFlags& flags) {
  SpeculationOptions options;
  options.most = flags.most;
  options.automatic = !flags.fixed;
  const std::string& type = flags.draft_model.empty() || flags.type != "none" ? flags.type : "model";
  if ((type == "model") != !flags.draft_model.empty()) {
    return make_error(Errc::usage, "--spec-type {} {} a --model-draft", type,
                      type == "model" ? "needs" : "has no use for");
  }
  if (type == "ngram") {
    options.drafter = [](const DrafterWorld&) -> Result<std::unique_ptr<Drafter>> {
      return make_ngram_drafter();
    };
  } else if (const std::optional<uint32_t> skip = skip_of(type)) {
    options.drafter = [skip](const DrafterWorld& world) {
      return make_self_drafter(retained_layers(world.model.info().n_layers, *skip), world);
    };
  } else if (type == "model") {
    HEADRACE_TRY(ModelFile opened, open_model_file({flags.draft_model}));
    const auto file = std::make_shared<const ModelFile>(std::move(opened));
    options.drafter = [file](const DrafterWorld& world) { return make_model_drafter(*file, world); };
  }
  return options;
}

}  // namespace headrace::cli
