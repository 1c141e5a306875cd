#include "text/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/file.h"
#include "text/added_tokens.h"
#include "text/byte_alphabet.h"
#include "text/json_field.h"
#include "text/tokenizer_json_file.h"
#include "text/tokenizer_pipeline.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

constexpr std::string_view kTokenizerFile = "tokenizer.json";
constexpr std::string_view kConfigFile = "tokenizer_config.json";
constexpr auto kIds = static_cast<int64_t>(kMaxTokenizerJsonTokens);

class Builder {
 public:
  explicit Builder(TokenizerJsonFile file) : file_(std::move(file)), document_(file_.document, "") {}

  Status read();
  Status read_config(const JsonField& config);
  /// The last step.
  Status read_merges();
  TokenizerSpec take() { return std::move(spec_); }

 private:
  Status read_model_settings(const JsonField& model);
  Status make_room(const std::vector<JsonField>& added);
  Status read_vocab();
  void find_byte_tokens();
  Status read_added_token(const JsonField& field);
  Status read_unk(const JsonField& model);
  Status read_frame();
  Status check_bytes(const JsonField& model);
  bool is_special(TokenId id) const;

  Status define(TokenId id, std::string spelling, TokenKind kind, std::string_view path);
  Result<std::optional<TokenId>> find_named(const JsonField& field) const;
  Status set_from_config(const JsonField& field, bool framed, std::optional<TokenId>& id) const;

  TokenizerJsonFile file_;
  JsonField document_;
  TokenizerSpec spec_;
  bool byte_fallback_ = false;
  std::vector<bool> defined_;
  std::unordered_map<std::string_view, TokenId> by_spelling_;  // views into spec_.tokens
};

Status Builder::read() {
  HEADRACE_RETURN_IF_ERROR(read_pipeline(document_, spec_));
  const JsonField model = document_["model"];
  HEADRACE_RETURN_IF_ERROR(read_model_settings(model));
  std::vector<JsonField> added;
  if (const JsonField list = document_["added_tokens"]; !list.is_null()) {
    HEADRACE_TRY(added, list.elements());
  }
  HEADRACE_RETURN_IF_ERROR(make_room(added));
  HEADRACE_RETURN_IF_ERROR(read_vocab());
  find_byte_tokens();
  spec_.added.emplace();
  for (const JsonField& field : added) HEADRACE_RETURN_IF_ERROR(read_added_token(field));
  HEADRACE_RETURN_IF_ERROR(read_unk(model));
  HEADRACE_RETURN_IF_ERROR(check_bytes(model));
  return read_frame();
}

bool is_sentencepiece(const TokenizerSpec& spec) {
  return spec.model == TokenizerModel::sentencepiece_bpe;
}

Error not_supported(const JsonField& field, std::string_view found) {
  return make_error(Errc::unsupported, "{}: {} is not supported", field.path(), found);
}

Status Builder::read_model_settings(const JsonField& model) {
  if (!model.is_object()) return model.wrong("an object");
  if (!model["type"].is_null()) {  // old files leave it out
    HEADRACE_TRY(const std::string type, model.type());
    if (type != "BPE") {
      return make_error(Errc::unsupported, "model.type: \"{}\" is not supported, only \"BPE\" is",
                        printable(type));
    }
  }
  if (!model["vocab"].is_null()) return model["vocab"].wrong("an object");
  if (!model["merges"].is_null()) return model["merges"].wrong("an array");
  if (!model["dropout"].is_null()) return not_supported(model["dropout"], "leaving merges out by chance");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model[affix].is_null()) continue;
    HEADRACE_TRY(const std::string text, model[affix].string());
    if (!text.empty()) return not_supported(model[affix], "anything but an empty string");
  }
  HEADRACE_TRY(byte_fallback_, model["byte_fallback"].boolean_or(false));
  if (byte_fallback_ && !is_sentencepiece(spec_))
    return not_supported(model["byte_fallback"], "true with a ByteLevel pre-tokenizer");
  HEADRACE_TRY(spec_.keeps_known_words, model["ignore_merges"].boolean_or(false));
  if (*spec_.keeps_known_words && is_sentencepiece(spec_))
    return not_supported(model["ignore_merges"], "true without a ByteLevel pre-tokenizer");
  HEADRACE_TRY(const bool fuses, model["fuse_unk"].boolean_or(false));
  // With a token for every byte nothing is unknown.
  if (!fuses && is_sentencepiece(spec_) && !byte_fallback_ && !model["unk_token"].is_null())
    return not_supported(model["fuse_unk"], "false without byte_fallback");
  return {};
}

// Makes room for all tokens at once: by_spelling_ looks into them.
Status Builder::make_room(const std::vector<JsonField>& added) {
  int64_t last = -1;
  const auto check = [&](int64_t id) {
    last = std::max(last, id);
    return id >= 0 && id < kIds;
  };
  for (const auto& [spelling, id] : file_.vocab) {
    if (check(id)) continue;
    return make_error(Errc::bad_model, "model.vocab[\"{}\"]: expected an id from 0 to {}, found {}",
                      printable(spelling), kIds - 1, id);
  }
  for (const JsonField& field : added) {
    HEADRACE_TRY(const int64_t id, field["id"].integer());
    if (check(id)) continue;
    return make_error(Errc::bad_model, "{}: expected an id from 0 to {}, found {}", field["id"].path(),
                      kIds - 1, id);
  }
  const auto n = static_cast<size_t>(last + 1);
  spec_.tokens.resize(n);
  spec_.kinds.resize(n, TokenKind::unused);
  defined_.resize(n, false);
  by_spelling_.reserve(file_.vocab.size() + added.size());
  return {};
}

Status Builder::define(TokenId id, std::string spelling, TokenKind kind, std::string_view path) {
  const auto at = static_cast<size_t>(id);
  if (defined_[at]) {
    return make_error(Errc::bad_model, "{}: id {} of \"{}\" is also that of \"{}\"", path, id,
                      printable(spelling), printable(spec_.tokens[at]));
  }
  spec_.tokens[at] = std::move(spelling);
  if (!by_spelling_.emplace(spec_.tokens[at], id).second)
    return make_error(Errc::bad_model, "{}: \"{}\" is there twice", path, printable(spec_.tokens[at]));
  defined_[at] = true;
  spec_.kinds[at] = kind;
  return {};
}

Status Builder::read_vocab() {
  for (auto& [spelling, id] : file_.vocab) {
    HEADRACE_RETURN_IF_ERROR(
        define(static_cast<TokenId>(id), std::move(spelling), TokenKind::normal, "model.vocab"));
  }
  file_.vocab = {};
  return {};
}

void Builder::find_byte_tokens() {
  if (!byte_fallback_) return;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto entry = by_spelling_.find(fmt::format("<0x{:02X}>", byte));
    if (entry != by_spelling_.end()) spec_.kinds[static_cast<size_t>(entry->second)] = TokenKind::byte;
  }
}

Status Builder::read_added_token(const JsonField& field) {
  HEADRACE_TRY(const int64_t number, field["id"].integer());
  HEADRACE_TRY(const std::string content, field["content"].string());
  if (content.empty() || content.size() > kMaxAddedTokenBytes) {
    return make_error(Errc::unsupported, "{}: {} bytes, only 1 to {} are supported", field["content"].path(),
                      content.size(), kMaxAddedTokenBytes);
  }
  AddedTokenRule rule;
  rule.id = static_cast<TokenId>(number);
  HEADRACE_TRY(const bool special, field["special"].boolean_or(false));
  HEADRACE_TRY(rule.normalized, field["normalized"].boolean_or(!special));
  HEADRACE_TRY(rule.single_word, field["single_word"].boolean_or(false));
  HEADRACE_TRY(rule.lstrip, field["lstrip"].boolean_or(false));
  HEADRACE_TRY(rule.rstrip, field["rstrip"].boolean_or(false));
  const TokenKind kind = special ? TokenKind::control : TokenKind::user_defined;
  const auto known = by_spelling_.find(content);
  if (known == by_spelling_.end()) {
    HEADRACE_RETURN_IF_ERROR(define(rule.id, content, kind, field.path()));
  } else if (known->second != rule.id) {
    return make_error(Errc::bad_model, "{}: \"{}\" has the id {}, but {} before", field["id"].path(),
                      printable(content), rule.id, known->second);
  } else {
    TokenKind& here = spec_.kinds[static_cast<size_t>(rule.id)];
    if (here == TokenKind::control || here == TokenKind::user_defined)
      return make_error(Errc::bad_model, "{}: \"{}\" is there twice", field.path(), printable(content));
    here = kind;
  }
  spec_.added->push_back(rule);
  return {};
}

Status Builder::read_unk(const JsonField& model) {
  if (model["unk_token"].is_null()) return {};
  HEADRACE_TRY(const std::string name, model["unk_token"].string());
  const auto unk = by_spelling_.find(name);
  if (unk == by_spelling_.end()) {
    return make_error(Errc::bad_model, "model.unk_token: \"{}\" is not a token", printable(name));
  }
  spec_.unk = unk->second;
  TokenKind& kind = spec_.kinds[static_cast<size_t>(unk->second)];
  // Such a token is made of text that nothing else stands for, so it cannot be a control token.
  if (kind == TokenKind::control && is_sentencepiece(spec_)) kind = TokenKind::unknown;
  return {};
}

// Merging starts from single bytes. One without a token is dropped, unless there is an unk_token for it.
Status Builder::check_bytes(const JsonField& model) {
  constexpr size_t kBytesOfUtf8 = 243;  // C0, C1 and F5 to FF occur in no text
  if (is_sentencepiece(spec_) || !spec_.unk) return {};
  std::array<bool, 256> seen{};
  for (size_t i = 0; i < spec_.tokens.size(); ++i) {
    if (spec_.kinds[i] != TokenKind::normal || spec_.tokens[i].size() > 2) continue;
    const std::optional<std::string> bytes = bytes_of_spelling(spec_.tokens[i]);
    if (bytes && bytes->size() == 1) seen[static_cast<unsigned char>(bytes->front())] = true;
  }
  for (size_t byte = 0xC0; byte <= 0xFF; ++byte) {
    if (byte <= 0xC1 || byte >= 0xF5) seen[byte] = false;
  }
  if (static_cast<size_t>(std::ranges::count(seen, true)) == kBytesOfUtf8) return {};
  return not_supported(model["unk_token"], "a token for unknown bytes");
}

bool Builder::is_special(TokenId id) const {
  const TokenKind kind = spec_.kinds[static_cast<size_t>(id)];
  return kind == TokenKind::control || kind == TokenKind::unknown || spec_.bos == id || spec_.eos == id ||
         (kind == TokenKind::user_defined && looks_like_turn_marker(spec_.tokens[static_cast<size_t>(id)]));
}

Status Builder::read_merges() {
  if (file_.merges.empty()) return make_error(Errc::bad_model, "model.merges: there are none");
  size_t kept = 0;
  std::string joined;
  for (size_t i = 0; i < file_.merges.size(); ++i) {
    std::string& merge = file_.merges[i];
    const size_t space = merge.find(' ');
    const std::string_view left = std::string_view(merge).substr(0, space);
    const std::string_view right = std::string_view(merge).substr(space + 1);
    joined.assign(left).append(right);
    const auto wrong = [&](std::string_view part) {
      return make_error(Errc::bad_model, "model.merges[{}]: \"{}\" is not in model.vocab", i,
                        printable(part));
    };
    if (!by_spelling_.contains(left)) return wrong(left);
    if (!by_spelling_.contains(right)) return wrong(right);
    const auto result = by_spelling_.find(joined);
    if (result == by_spelling_.end()) return wrong(joined);
    // Published files have merges that lead to "</s>"; text must not get there.
    if (is_special(result->second)) continue;
    if (kept != i) file_.merges[kept] = std::move(merge);
    ++kept;
  }
  file_.merges.resize(kept);
  spec_.merges = std::move(file_.merges);
  return {};
}

Status Builder::read_frame() {
  HEADRACE_TRY(const TextFrame frame, read_post_processor(document_));
  for (const std::optional<TokenId>& id : {frame.before, frame.after}) {
    if (id && (static_cast<size_t>(*id) >= defined_.size() || !defined_[static_cast<size_t>(*id)])) {
      return make_error(Errc::bad_model, "post_processor: id {} is not that of a token", *id);
    }
  }
  spec_.bos = frame.before;
  spec_.eos = frame.after;
  spec_.add_bos = frame.before.has_value();
  spec_.add_eos = frame.after.has_value();
  return {};
}

// A token's name, which some files wrap in an object.
Result<std::optional<TokenId>> Builder::find_named(const JsonField& field) const {
  if (field.is_null()) return std::optional<TokenId>();
  const JsonField name_field = field.is_object() ? field["content"] : field;
  HEADRACE_TRY(const std::string name, name_field.string());
  const auto token = by_spelling_.find(name);
  if (token == by_spelling_.end()) {
    return make_error(Errc::bad_model, "{}: \"{}\" is not a token of {}", name_field.path(), printable(name),
                      kTokenizerFile);
  }
  return std::optional<TokenId>(token->second);
}

Status Builder::set_from_config(const JsonField& field, bool framed, std::optional<TokenId>& id) const {
  HEADRACE_TRY(const std::optional<TokenId> named, find_named(field));
  if (!named) return {};
  if (framed && *named != *id) {
    return make_error(Errc::unsupported,
                      "{}: is token {}, but the post-processor of {} adds {}; they must be the same",
                      field.path(), *named, kTokenizerFile, *id);
  }
  id = named;
  return {};
}

// The classes that make the post-processor anew from these two settings.
bool obeys_add_flags(std::string_view tokenizer_class) {
  return tokenizer_class.starts_with("Llama") || tokenizer_class.starts_with("CodeLlama") ||
         tokenizer_class.starts_with("Gemma");
}

Status Builder::read_config(const JsonField& config) {
  HEADRACE_RETURN_IF_ERROR(set_from_config(config["bos_token"], spec_.add_bos, spec_.bos));
  HEADRACE_RETURN_IF_ERROR(set_from_config(config["eos_token"], spec_.add_eos, spec_.eos));
  if (config["tokenizer_class"].is_null()) return {};
  HEADRACE_TRY(const std::string tokenizer_class, config["tokenizer_class"].string());
  if (!obeys_add_flags(tokenizer_class)) return {};
  HEADRACE_TRY(spec_.add_bos, config["add_bos_token"].boolean_or(spec_.add_bos));
  HEADRACE_TRY(spec_.add_eos, config["add_eos_token"].boolean_or(spec_.add_eos));
  if (spec_.add_bos && !spec_.bos) return config["bos_token"].wrong("a token, as add_bos_token is true");
  if (spec_.add_eos && !spec_.eos) return config["eos_token"].wrong("a token, as add_eos_token is true");
  return {};
}

// Either one template or a list of named ones.
Result<std::string> read_chat_template(const JsonField& field) {
  constexpr std::string_view kWanted = "default";
  if (field.is_null()) return std::string();
  if (!field.is_array()) return field.string();
  HEADRACE_TRY(const std::vector<JsonField> entries, field.elements());
  for (const JsonField& entry : entries) {
    HEADRACE_TRY(const std::string name, entry["name"].string());
    if (name == kWanted) return entry["template"].string();
  }
  return std::string();
}

Result<Tokenizer> load(std::string_view tokenizer_json, std::string_view tokenizer_config_json,
                       std::string_view chat_template, std::span<const TokenId> end_ids) {
  const auto in = [](std::string_view file, Error error) { return std::move(error).in(file); };
  Result<TokenizerJsonFile> file = parse_tokenizer_json(tokenizer_json);
  if (!file) return in(kTokenizerFile, std::move(file).error());
  Builder builder(std::move(file).value());
  if (Status status = builder.read(); !status) return in(kTokenizerFile, std::move(status).error());
  std::string chat(chat_template);
  if (!tokenizer_config_json.empty()) {
    const Result<nlohmann::json> document = parse_tokenizer_config(tokenizer_config_json);
    if (!document) return in(kConfigFile, document.error());
    const JsonField config(*document, "");
    if (Status status = builder.read_config(config); !status)
      return in(kConfigFile, std::move(status).error());
    if (chat.empty()) {
      Result<std::string> text = read_chat_template(config["chat_template"]);
      if (!text) return in(kConfigFile, std::move(text).error());
      chat = std::move(text).value();
    }
  }
  if (Status status = builder.read_merges(); !status) return in(kTokenizerFile, std::move(status).error());
  TokenizerSpec spec = builder.take();
  spec.chat_template = std::move(chat);
  spec.ends.assign(end_ids.begin(), end_ids.end());
  return Tokenizer::create(std::move(spec));
}

}  // namespace

Result<Tokenizer> load_tokenizer_json(const std::string& name, std::string_view tokenizer_json,
                                      std::string_view tokenizer_config_json, std::string_view chat_template,
                                      std::span<const TokenId> end_ids) {
  Result<Tokenizer> tokenizer = load(tokenizer_json, tokenizer_config_json, chat_template, end_ids);
  if (!tokenizer) return std::move(tokenizer).error().in(name);
  return tokenizer;
}

}  // namespace headrace
