// headrace apply-template: the prompt that a chat template makes of a conversation, byte for byte.
#include <memory>
#include <optional>

#include "cli/chat_json.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

// More than the parser of templates takes, which refuses with its own limit in the message.
constexpr uint64_t kMaxTemplateFileBytes = uint64_t{16} << 20;

struct TemplateFlags {
  ModelFlags model;
  std::optional<std::string> file;
  std::string input = "-";
};

struct Source {
  std::string text;
  std::string name;  // for messages
};

Result<std::optional<Tokenizer>> tokenizer_of(const ModelFlags& flags) {
  if (flags.model.empty()) return std::optional<Tokenizer>();
  HEADRACE_TRY(const ModelFile file, open_model_file(flags));
  HEADRACE_TRY(Tokenizer tokenizer, load_tokenizer(file));
  return std::optional<Tokenizer>(std::move(tokenizer));
}

Result<Source> source_of(const TemplateFlags& flags, const std::optional<Tokenizer>& tokenizer) {
  if (flags.file) {
    HEADRACE_TRY(std::string text, read_text(*flags.file, kMaxTemplateFileBytes));
    return Source{std::move(text), *flags.file};
  }
  if (tokenizer->chat_template().empty()) {
    return make_error(Errc::usage, "{}: the model has no chat template; --template FILE gives one",
                      printable(flags.model.model));
  }
  return Source{tokenizer->chat_template(), "of the model"};
}

Status apply_template(const TemplateFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  if (flags.model.model.empty() && !flags.file) {
    return make_error(Errc::usage, "no template: give -m MODEL or --template FILE");
  }
  if (flags.file == "-" && flags.input == "-") {
    return make_error(Errc::usage, "--template and --input can't both be standard input");
  }
  HEADRACE_TRY(const std::optional<Tokenizer> tokenizer, tokenizer_of(flags.model));
  HEADRACE_TRY(const Source source, source_of(flags, tokenizer));
  HEADRACE_TRY(const ChatTemplate chat, ChatTemplate::parse(source.text, source.name));
  HEADRACE_TRY(const std::string json, read_text(flags.input, kMaxChatJsonBytes));
  const std::string json_name = flags.input == "-" ? "standard input" : printable(flags.input);
  HEADRACE_TRY(const ChatInput input,
               parse_chat_json(json, json_name, tokenizer ? chat_input(*tokenizer) : ChatInput()));
  HEADRACE_TRY(const std::vector<TextPiece> pieces, chat.render(input));
  std::string prompt;
  for (const TextPiece& piece : pieces) prompt += piece.text;
  return write_out(prompt);
}

}  // namespace

void register_apply_template(CLI::App& app, Action& action) {
  auto flags = std::make_shared<TemplateFlags>();
  CLI::App& verb = *app.add_subcommand("apply-template", "Show the prompt that a chat template makes");
  add_model_flag(verb, flags->model)->required(false);
  verb.add_option("--template", flags->file, "Jinja source from a file, in place of the model's template")
      ->type_name(kFileValue);
  begin_group(verb, kPromptGroup);
  verb.add_option("--input", flags->input, "The conversation as JSON; '-' for standard input [-]")
      ->type_name(kFileValue);
  add_quiet_flag(verb, flags->model.quiet);
  verb.footer(
      "\nThe conversation is an object with messages (an array of objects with role and content) and, if\n"
      "wanted, tools, add_generation_prompt (true), bos_token and eos_token (the model's, or empty); other\n"
      "keys become variables of the template. Standard output gets the prompt and nothing else.\n\n"
      "Example:\n"
      "  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}' |\n"
      "    headrace apply-template -m smollm2:135m\n");
  verb.callback([flags, &action] { action = [flags] { return apply_template(*flags); }; });
}

}  // namespace headrace::cli
