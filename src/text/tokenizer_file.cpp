#include "text/tokenizer_file.h"

#include <limits>

#include "formats/json_text.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

// eos_token_id of a JSON file: a number or a list of them.
Result<std::vector<TokenId>> read_end_ids(const std::string& name, const Json& json) {
  std::vector<TokenId> ids;
  const auto found = json.find("eos_token_id");
  if (found == json.end() || found->is_null()) return ids;
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<TokenId>::max()) {
      return make_error(Errc::bad_model, "{}: eos_token_id: expected token ids, found {}", name,
                        describe(id));
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

// What ends an answer besides the tokenizer's own end of text: generation_config.json or else config.json
// says.
Result<std::vector<TokenId>> end_ids_of(const HfFolder& folder) {
  HEADRACE_TRY(const std::optional<std::string> text, folder.read("generation_config.json"));
  if (text) {
    const std::string name = folder.name() + "/generation_config.json";
    HEADRACE_TRY(const Json json, parse_json_object(name, *text));
    HEADRACE_TRY(std::vector<TokenId> ids, read_end_ids(name, json));
    if (!ids.empty()) return ids;
  }
  return read_end_ids(folder.name() + "/config.json", folder.config());
}

}  // namespace

Result<Tokenizer> load_tokenizer(const ModelFile& file) {
  if (file.gguf() != nullptr) return load_tokenizer(*file.gguf());
  const HfFolder& folder = *file.folder();
  HEADRACE_TRY(const std::optional<std::string> tokenizer,
               folder.read("tokenizer.json", kMaxTokenizerJsonBytes));
  if (!tokenizer) return make_error(Errc::not_found, "{}: tokenizer.json is missing", folder.name());
  HEADRACE_TRY(const std::optional<std::string> config, folder.read("tokenizer_config.json"));
  HEADRACE_TRY(const std::optional<std::string> chat_template, folder.read("chat_template.jinja"));
  HEADRACE_TRY(const std::vector<TokenId> end_ids, end_ids_of(folder));
  return load_tokenizer_json(folder.name(), *tokenizer, config.value_or(""), chat_template.value_or(""),
                             end_ids);
}

}  // namespace headrace
