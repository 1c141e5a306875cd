// headrace detokenize: from token ids to text.
#include <unistd.h>
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

struct DetokenizeFlags {
  ModelFlags model;
  TextFlags text;
  bool no_special = false;
  bool no_bos = false;
  bool json = false;
};

// What tokenize --json prints, or a bare list.
Result<std::vector<TokenId>> ids_of_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  const Json* list = &json;
  if (json.is_object() && json.contains("ids")) list = &json["ids"];
  if (!list->is_array()) return make_error(Errc::usage, "ids: expected JSON [...] or {{\"ids\":[...]}}");
  std::vector<TokenId> ids;
  for (const Json& id : *list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<TokenId>::max()) {
      return make_error(Errc::usage, "ids: entry {} is not a token id", ids.size());
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

Result<std::vector<TokenId>> ids_of(const std::string& text) {
  constexpr std::string_view kBetween = ", \t\r\n";
  const size_t first = text.find_first_not_of(kBetween);
  if (first == std::string::npos) return std::vector<TokenId>();
  if (text[first] == '{' || text[first] == '[') return ids_of_json(text);
  std::vector<TokenId> ids;
  for (size_t at = first; at != std::string::npos; at = text.find_first_not_of(kBetween, at)) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const std::string_view word = std::string_view(text).substr(at, end - at);
    const std::optional<TokenId> id = parse_number<TokenId>(word);
    if (!id) return make_error(Errc::usage, "ids: '{}' is not a token id", printable(word));
    ids.push_back(*id);
    at = end;
  }
  return ids;
}

Status check_ids(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokenizer.vocab_size()) {
      return make_error(Errc::usage, "ids: expected 0 to {}, found {}", tokenizer.vocab_size() - 1, id);
    }
  }
  return {};
}

Status detokenize(const DetokenizeFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const std::string text, read_input(flags.text));
  HEADRACE_TRY(std::vector<TokenId> ids, ids_of(text));
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  HEADRACE_TRY(const Tokenizer tokenizer, load_tokenizer(file));
  HEADRACE_RETURN_IF_ERROR(check_ids(tokenizer, ids));
  if (flags.no_bos && adds_bos(tokenizer) && !ids.empty() && ids.front() == tokenizer.bos())
    ids.erase(ids.begin());
  std::string out = tokenizer.decode(ids, flags.no_special);
  if (flags.json) return write_out(Json{{"text", out}}.dump() + "\n");
  if (::isatty(STDOUT_FILENO) == 1 && !out.ends_with('\n')) out += '\n';
  return write_out(out);
}

}  // namespace

void register_detokenize(CLI::App& app, Action& action) {
  auto flags = std::make_shared<DetokenizeFlags>();
  CLI::App& verb = *app.add_subcommand("detokenize", "Show the text of tokens");
  add_model_flag(verb, flags->model);
  add_prompt_flags(verb, flags->text);
  verb.get_option("--prompt")->description("Token ids, or what tokenize --json prints");
  verb.get_option("--file")->description("The same from a file, '-' for standard input");
  verb.add_flag("--no-special", flags->no_special, "Leave special tokens out");
  verb.add_flag("--no-bos", flags->no_bos, "Leave out the token for beginning of text that tokenize added");
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--json", flags->json, "Print {\"text\":\"...\"}");
  verb.footer(
      "\nOn a terminal the text is followed by a newline, elsewhere by nothing.\n\n"
      "Example:\n  headrace tokenize -m smollm2:135m -p Hello --json | headrace detokenize -m smollm2:135m "
      "-f -\n");
  verb.callback([flags, &action] { action = [flags] { return detokenize(*flags); }; });
}

}  // namespace headrace::cli
