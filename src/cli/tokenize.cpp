// headrace tokenize: from text to token ids.
#include <memory>

#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text_input.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

struct TokenizeFlags {
  ModelFlags model;
  TextFlags text;
  bool no_special = false;
  bool no_bos = false;
  bool json = false;
};

Status tokenize(const TokenizeFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const std::string text, read_input(flags.text));
  warn_unless_utf8(text);
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  HEADRACE_TRY(const Tokenizer tokenizer, load_tokenizer(file));
  const std::vector<TokenId> ids =
      tokenizer.encode(text, {.special = !flags.no_special, .bos = !flags.no_bos});
  if (flags.json) return write_out(Json{{"ids", ids}}.dump() + "\n");
  std::string lines;
  for (const TokenId id : ids) lines += fmt::format("{:>8} '{}'\n", id, printable(tokenizer.piece(id), 4096));
  return write_out(lines);
}

}  // namespace

void register_tokenize(CLI::App& app, Action& action) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App& verb = *app.add_subcommand("tokenize", "Show the tokens of a text");
  add_model_flag(verb, flags->model);
  add_prompt_flags(verb, flags->text);
  verb.add_flag("--no-special", flags->no_special, "Spellings of special tokens are plain text");
  verb.add_flag("--no-bos", flags->no_bos, "Without the tokens for beginning and end of text");
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--json", flags->json, "Print {\"ids\":[...]}");
  verb.footer("\nExample:\n  headrace tokenize -m smollm2:135m -p \"Hello, world\"\n");
  verb.callback([flags, &action] { action = [flags] { return tokenize(*flags); }; });
}

}  // namespace headrace::cli
