#include "text/tokenizer_pipeline.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A stage of one kind, all its settings included, as one string: "Split [\r\n]".
struct Stage {
  std::string what;
  std::string path;
};

struct Recipe {
  std::string_view name;  // of the pre-tokenizer, as in GGUF files
  std::vector<std::string> stages;
};

const std::vector<Recipe>& byte_level_recipes() {
  static const std::vector<Recipe> recipes = {
      {"gpt-2", {"ByteLevel with regex"}},
      {"smollm", {"Digits", "ByteLevel with regex"}},
      {"llama-bpe", {"Split " + std::string(kLlama3Regex), "ByteLevel"}},
      {"qwen2", {"Split " + std::string(kQwen2Regex), "ByteLevel"}},
      {"deepseek-coder",
       {"Split [\r\n]", "Split \\s?\\p{L}+", "Split \\s?\\p{P}+",
        "Split [\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+", "Digits",
        "ByteLevel"}},
  };
  return recipes;
}

constexpr std::string_view kSupportedPreTokenizers =
    "supported are those of GPT-2 (ByteLevel), SmolLM (Digits, ByteLevel), Llama 3, Qwen 2 and DeepSeek "
    "Coder "
    "(Split by their expressions, ByteLevel), and with a normalizer that replaces spaces none, Split by \" "
    "\" "
    "or Metaspace without splitting";

// The stages of a Sequence one by one; any other stage is the only one.
Status flatten(const JsonField& field, std::string_view list, std::vector<JsonField>& out) {
  if (field.is_null()) return {};
  HEADRACE_TRY(const std::string type, field.type());
  if (type != "Sequence") {
    out.push_back(field);
    return {};
  }
  HEADRACE_TRY(const std::vector<JsonField> parts, field[list].elements());
  for (const JsonField& part : parts) HEADRACE_RETURN_IF_ERROR(flatten(part, list, out));
  return {};
}

Error unsupported(const JsonField& stage, std::string_view type, std::string_view supported) {
  return make_error(Errc::unsupported, "{}: \"{}\" is not supported, only {}", stage.path(), printable(type),
                    supported);
}

// Fails unless the member, where it is there, has that value.
Status require(const JsonField& stage, std::string_view member, bool expected, bool if_missing) {
  HEADRACE_TRY(const bool found, stage[member].boolean_or(if_missing));
  if (found == expected) return {};
  return make_error(Errc::unsupported, "{}: {} is not supported", stage[member].path(), found);
}

Status require(const JsonField& stage, std::string_view member, std::string_view expected) {
  HEADRACE_TRY(const std::string found, stage[member].string());
  if (found == expected) return {};
  return make_error(Errc::unsupported, "{}: \"{}\" is not supported, only \"{}\" is", stage[member].path(),
                    printable(found), expected);
}

Status require(const JsonField& stage, std::string_view member, int64_t expected) {
  HEADRACE_TRY(const int64_t found, stage[member].integer());
  if (found == expected) return {};
  return make_error(Errc::unsupported, "{}: {} is not supported, only {} is", stage[member].path(), found,
                    expected);
}

// Normalizer.

struct Normalizing {
  bool nfc = false;
  bool marks_spaces = false;
  bool prepends = false;
};

Result<Normalizing> read_normalizer(const JsonField& field) {
  std::vector<JsonField> stages;
  HEADRACE_RETURN_IF_ERROR(flatten(field, "normalizers", stages));
  Normalizing out;
  for (const JsonField& stage : stages) {
    HEADRACE_TRY(const std::string type, stage.type());
    if (type == "NFC") {
      if (out.marks_spaces || out.prepends)
        return unsupported(stage, type, "NFC in front of Prepend and Replace");
      out.nfc = true;
    } else if (type == "Prepend") {
      if (out.prepends) return unsupported(stage, type, "one Prepend");
      HEADRACE_RETURN_IF_ERROR(require(stage, "prepend", kSpaceMark));
      out.prepends = true;
    } else if (type == "Replace") {
      HEADRACE_RETURN_IF_ERROR(require(stage["pattern"], "String", std::string_view(" ")));
      HEADRACE_RETURN_IF_ERROR(require(stage, "content", kSpaceMark));
      out.marks_spaces = true;
    } else {
      return unsupported(stage, type, "NFC, Prepend and Replace (\" \" by U+2581) are");
    }
  }
  return out;
}

// Pre-tokenizer.

Result<Stage> describe_split(const JsonField& stage) {
  HEADRACE_RETURN_IF_ERROR(require(stage, "invert", false, false));
  const JsonField pattern = stage["pattern"];
  if (!pattern["String"].is_null()) {
    HEADRACE_RETURN_IF_ERROR(require(pattern, "String", std::string_view(" ")));
    HEADRACE_RETURN_IF_ERROR(require(stage, "behavior", std::string_view("MergedWithPrevious")));
    return Stage{"Split by space", stage.path()};
  }
  HEADRACE_TRY(const std::string regex, pattern["Regex"].string());
  HEADRACE_RETURN_IF_ERROR(require(stage, "behavior", std::string_view("Isolated")));
  return Stage{"Split " + regex, pattern["Regex"].path()};
}

Result<Stage> describe_metaspace(const JsonField& stage, SpacePrefix& prefix) {
  HEADRACE_RETURN_IF_ERROR(require(stage, "replacement", kSpaceMark));
  HEADRACE_RETURN_IF_ERROR(require(stage, "split", false, true));
  const JsonField scheme = stage["prepend_scheme"];
  if (scheme.is_null()) {  // as older files say it
    HEADRACE_TRY(const bool prepends, stage["add_prefix_space"].boolean_or(true));
    prefix = prepends ? SpacePrefix::unless_there : SpacePrefix::none;
  } else {
    HEADRACE_TRY(const std::string name, scheme.string());
    if (name == "always") {
      prefix = SpacePrefix::unless_there;
    } else if (name == "first") {
      prefix = SpacePrefix::at_start;
    } else if (name == "never") {
      prefix = SpacePrefix::none;
    } else {
      return unsupported(scheme, name, "always, first and never are");
    }
  }
  return Stage{"Metaspace", stage.path()};
}

Result<Stage> describe_pre_tokenizer(const JsonField& stage, SpacePrefix& prefix) {
  HEADRACE_TRY(const std::string type, stage.type());
  if (type == "Split") return describe_split(stage);
  if (type == "Metaspace") return describe_metaspace(stage, prefix);
  if (type == "Digits") {
    HEADRACE_RETURN_IF_ERROR(require(stage, "individual_digits", true, false));
    return Stage{"Digits", stage.path()};
  }
  if (type == "ByteLevel") {
    HEADRACE_RETURN_IF_ERROR(require(stage, "add_prefix_space", false, true));
    HEADRACE_TRY(const bool regex, stage["use_regex"].boolean_or(true));
    return Stage{regex ? "ByteLevel with regex" : "ByteLevel", stage.path()};
  }
  return make_error(Errc::unsupported, "{}: \"{}\" is not known; {}", stage.path(), printable(type),
                    kSupportedPreTokenizers);
}

bool matches(const std::vector<Stage>& stages, const std::vector<std::string>& recipe) {
  return std::ranges::equal(stages, recipe, {}, &Stage::what);
}

// Names the first stage with which no known recipe goes on.
Error unknown_stages(const JsonField& field, const std::vector<Stage>& stages) {
  size_t most = 0;
  for (const Recipe& recipe : byte_level_recipes()) {
    const auto [a, b] = std::ranges::mismatch(stages, recipe.stages, {}, &Stage::what);
    most = std::max(most, static_cast<size_t>(a - stages.begin()));
  }
  const bool known_so_far = most == stages.size();
  return make_error(Errc::unsupported, "{}: this pre-tokenizer is not known; {}",
                    known_so_far ? field.path() : stages[most].path, kSupportedPreTokenizers);
}

// Decoder.

Result<std::vector<std::string>> read_decoder(const JsonField& field) {
  std::vector<JsonField> stages;
  HEADRACE_RETURN_IF_ERROR(flatten(field, "decoders", stages));
  std::vector<std::string> types;
  for (const JsonField& stage : stages) {
    HEADRACE_TRY(std::string type, stage.type());
    if (type == "Replace") {
      HEADRACE_RETURN_IF_ERROR(require(stage["pattern"], "String", kSpaceMark));
      HEADRACE_RETURN_IF_ERROR(require(stage, "content", std::string_view(" ")));
    } else if (type == "Strip") {
      HEADRACE_RETURN_IF_ERROR(require(stage, "content", std::string_view(" ")));
      HEADRACE_RETURN_IF_ERROR(require(stage, "start", int64_t{1}));
      HEADRACE_RETURN_IF_ERROR(require(stage, "stop", int64_t{0}));
    } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse") {
      return unsupported(stage, type, "ByteLevel, Replace, ByteFallback, Fuse and Strip are");
    }
    types.push_back(std::move(type));
  }
  return types;
}

Status read_byte_level(const JsonField& document, const Normalizing& normalizing,
                       const std::vector<Stage>& stages, TokenizerSpec& spec) {
  if (normalizing.marks_spaces || normalizing.prepends) {
    return make_error(Errc::unsupported, "normalizer: with a ByteLevel pre-tokenizer only NFC is supported");
  }
  const auto recipe =
      std::ranges::find_if(byte_level_recipes(), [&](const Recipe& r) { return matches(stages, r.stages); });
  if (recipe == byte_level_recipes().end()) return unknown_stages(document["pre_tokenizer"], stages);
  HEADRACE_TRY(const std::vector<std::string> decoder, read_decoder(document["decoder"]));
  if (decoder != std::vector<std::string>{"ByteLevel"}) {
    return make_error(Errc::unsupported,
                      "decoder: with a ByteLevel pre-tokenizer only a ByteLevel decoder is supported");
  }
  spec.model = TokenizerModel::byte_level_bpe;
  spec.pre_tokenizer = recipe->name;
  return {};
}

Status read_sentencepiece(const JsonField& document, const Normalizing& normalizing,
                          const std::vector<Stage>& stages, SpacePrefix metaspace_prefix,
                          TokenizerSpec& spec) {
  const bool metaspace = matches(stages, {"Metaspace"});
  const bool unsplit = stages.empty() || (normalizing.marks_spaces && matches(stages, {"Split by space"}));
  if (!metaspace && !unsplit) return unknown_stages(document["pre_tokenizer"], stages);
  if (!metaspace && !normalizing.marks_spaces) {
    return make_error(
        Errc::unsupported,
        "normalizer: neither it nor the pre-tokenizer replaces \" \" by U+2581, and there is no "
        "ByteLevel pre-tokenizer");
  }
  if (metaspace && normalizing.prepends) {
    return make_error(Errc::unsupported, "normalizer: Prepend is not supported together with Metaspace");
  }
  HEADRACE_TRY(std::vector<std::string> decoder, read_decoder(document["decoder"]));
  spec.strips_leading_space = !decoder.empty() && decoder.back() == "Strip";
  if (spec.strips_leading_space) decoder.pop_back();
  if (decoder != std::vector<std::string>{"Replace", "ByteFallback", "Fuse"}) {
    return make_error(
        Errc::unsupported,
        "decoder: without a ByteLevel pre-tokenizer only Replace, ByteFallback, Fuse and perhaps "
        "Strip, in this order, are supported");
  }
  spec.model = TokenizerModel::sentencepiece_bpe;
  spec.space_prefix =
      metaspace ? metaspace_prefix : (normalizing.prepends ? SpacePrefix::always : SpacePrefix::none);
  return {};
}

// Post-processor.

Result<TokenId> read_template_token(const JsonField& stage, const JsonField& item) {
  HEADRACE_TRY(const std::string name, item["SpecialToken"]["id"].string());
  const JsonField ids = stage["special_tokens"][name]["ids"];
  HEADRACE_TRY(const std::vector<JsonField> elements, ids.elements());
  if (elements.size() != 1) {
    return make_error(Errc::unsupported, "{}: {} ids, only one is supported", ids.path(), elements.size());
  }
  HEADRACE_TRY(const int64_t id, elements.front().integer());
  if (id < 0 || id > std::numeric_limits<TokenId>::max()) return elements.front().wrong("a token id");
  return static_cast<TokenId>(id);
}

Status read_template(const JsonField& stage, TextFrame& frame) {
  HEADRACE_TRY(const std::vector<JsonField> items, stage["single"].elements());
  bool seen_text = false;
  for (const JsonField& item : items) {
    if (!item["Sequence"].is_null()) {
      HEADRACE_RETURN_IF_ERROR(require(item["Sequence"], "id", std::string_view("A")));
      if (seen_text)
        return make_error(Errc::unsupported, "{}: a second Sequence is not supported", item.path());
      seen_text = true;
      continue;
    }
    std::optional<TokenId>& place = seen_text ? frame.after : frame.before;
    if (place) {
      return make_error(Errc::unsupported, "{}: only one special token on each side of the text is supported",
                        item.path());
    }
    HEADRACE_TRY(place, read_template_token(stage, item));
  }
  if (seen_text) return {};
  return make_error(Errc::bad_model, "{}: has no Sequence", stage["single"].path());
}

}  // namespace

Status read_pipeline(const JsonField& document, TokenizerSpec& spec) {
  HEADRACE_TRY(const Normalizing normalizing, read_normalizer(document["normalizer"]));
  std::vector<JsonField> fields;
  HEADRACE_RETURN_IF_ERROR(flatten(document["pre_tokenizer"], "pretokenizers", fields));
  std::vector<Stage> stages;
  SpacePrefix metaspace_prefix = SpacePrefix::none;
  for (const JsonField& field : fields) {
    HEADRACE_TRY(Stage stage, describe_pre_tokenizer(field, metaspace_prefix));
    stages.push_back(std::move(stage));
  }
  spec.nfc = normalizing.nfc;
  const bool byte_level =
      std::ranges::any_of(stages, [](const Stage& stage) { return stage.what.starts_with("ByteLevel"); });
  if (byte_level) return read_byte_level(document, normalizing, stages, spec);
  return read_sentencepiece(document, normalizing, stages, metaspace_prefix, spec);
}

Result<TextFrame> read_post_processor(const JsonField& document) {
  std::vector<JsonField> stages;
  HEADRACE_RETURN_IF_ERROR(flatten(document["post_processor"], "processors", stages));
  TextFrame frame;
  bool seen = false;
  for (const JsonField& stage : stages) {
    HEADRACE_TRY(const std::string type, stage.type());
    if (type == "ByteLevel") continue;  // moves offsets only
    if (type != "TemplateProcessing" || seen)
      return unsupported(stage, type, "ByteLevel and one TemplateProcessing are");
    seen = true;
    HEADRACE_RETURN_IF_ERROR(read_template(stage, frame));
  }
  return frame;
}

}  // namespace headrace
