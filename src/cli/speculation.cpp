#include "cli/speculation.h"

#include "cli/options.h"
#include "decode/draft.h"
#include "decode/ngram_drafter.h"

namespace headrace::cli {

void add_speculation_flags(CLI::App& app, SpeculationFlags& flags) {
  begin_group(app, "Drafts");
  app.add_option(
         "--spec-type", flags.type,
         "Who proposes tokens that one step checks together: ngram (what followed the same words before) or "
         "none. Answers stay the same [none]")
      ->check([](const std::string& text) {
        return text == "none" || text == "ngram" ? std::string()
                                                 : "expected none or ngram, found '" + text + "'";
      })
      ->type_name("none|ngram");
  add_number(app, "--draft-max", flags.most, 1U, kMaxDraftNodes, "Tokens of a draft at most [8]", "1 to 63");
  app.add_flag("--draft-fixed", flags.fixed,
               "Always draft as many as --draft-max says, not as many as pay at the moment");
}

SpeculationOptions speculation_of(const SpeculationFlags& flags) {
  SpeculationOptions options;
  options.most = flags.most;
  options.automatic = !flags.fixed;
  if (flags.type == "ngram") {
    options.drafter = [](const DrafterWorld&) -> Result<std::unique_ptr<Drafter>> {
      return make_ngram_drafter();
    };
  }
  return options;
}

}  // namespace headrace::cli
