// headrace info: the facts in a model file, of an architecture that is not supported, too.
#include <array>
#include <memory>

#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/checked.h"
#include "core/file.h"
#include "core/log.h"
#include "models/model.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

constexpr size_t kMaxNameBytes = 4096;

struct InfoFlags {
  ModelFlags model;
  bool metadata = false;
  bool json = false;
};

std::string text_key(const GgufFile& file, std::string_view key) {
  const Result<std::string_view> text = file.string_or(key, "");
  return text ? printable(*text, kMaxNameBytes) : std::string();
}

// A field of config.json, if it is a string.
std::string text_field(const HfFolder& folder, const char* field) {
  const auto found = folder.config().find(field);
  if (found == folder.config().end() || !found->is_string()) return "";
  return printable(found->get_ref<const std::string&>(), kMaxNameBytes);
}

// Tensors of each type, in the order of DType.
Json count_types(const ModelFile& file) {
  std::array<uint64_t, kDTypes> counts{};
  for (const FileTensor& tensor : file.tensors()) ++counts[static_cast<size_t>(tensor.type)];
  Json types = Json::object();
  for (size_t i = 0; i < kDTypes; ++i) {
    if (counts[i] > 0) types[std::string(name_of(static_cast<DType>(i)))] = counts[i];
  }
  return types;
}

uint64_t count_parameters(const ModelFile& file) {
  uint64_t parameters = 0;
  for (const FileTensor& tensor : file.tensors()) parameters += tensor.rows() * tensor.row_elements();
  return parameters;
}

// Keys and values of one position in all layers. (KvCache::bytes_per_token needs a loaded model.)
uint64_t kv_bytes_per_token(const ModelInfo& info, DType type) {
  return uint64_t{2} * info.n_layers * info.n_kv_heads * info.d_head * info_of(type).block_bytes;
}

Json shape_facts(const ModelInfo& info) {
  return {{"layers", info.n_layers},
          {"d_model", info.d_model},
          {"d_ff", info.d_ff},
          {"heads", info.n_heads},
          {"kv_heads", info.n_kv_heads},
          {"d_head", info.d_head},
          {"vocabulary", info.vocab_size},
          {"context", info.context_length},
          {"tied_output", info.tied_output},
          {"kv_bytes_per_token_f16", kv_bytes_per_token(info, DType::F16)}};
}

void add_tokenizer_facts(const ModelFile& file, Json& facts) {
  const Result<Tokenizer> tokenizer = load_tokenizer(file);
  if (const GgufFile* gguf = file.gguf()) {
    facts["tokenizer"] = text_key(*gguf, "tokenizer.ggml.model");
    facts["pre_tokenizer"] = text_key(*gguf, "tokenizer.ggml.pre");
    facts["chat_template"] = !text_key(*gguf, "tokenizer.chat_template").empty();
  } else {
    facts["tokenizer"] = "tokenizer.json";
    facts["chat_template"] = tokenizer && !tokenizer->chat_template().empty();
  }
  if (!tokenizer) facts["tokenizer_error"] = tokenizer.error().message;
}

Json facts_of(const ModelFile& file) {
  const Result<ModelInfo> info = describe_model(file);
  const GgufFile* gguf = file.gguf();
  Json facts = {{"file", printable(file.name(), kMaxNameBytes)},
                {"name", gguf != nullptr ? text_key(*gguf, "general.name") : (info ? info->name : "")},
                {"architecture", gguf != nullptr ? text_key(*gguf, "general.architecture")
                                                 : text_field(*file.folder(), "model_type")},
                {"supported", static_cast<bool>(info)}};
  if (!info) facts["why_not"] = info.error().message;
  if (gguf != nullptr) facts["licence"] = text_key(*gguf, "general.license");
  facts["parameters"] = count_parameters(file);
  facts["file_bytes"] = file.file_bytes();
  if (gguf != nullptr) facts["gguf_version"] = gguf->version();
  facts["tensors"] = file.tensors().size();
  facts["types"] = count_types(file);
  if (info) facts.update(shape_facts(*info));
  add_tokenizer_facts(file, facts);
  return facts;
}

// All that the file says, as keys with a type and a text.
struct Statement {
  std::string key;
  std::string type;
  std::string text;
};

std::vector<Statement> metadata_of(const ModelFile& file) {
  std::vector<Statement> metadata;
  if (const GgufFile* gguf = file.gguf()) {
    for (const GgufEntry& entry : gguf->metadata()) {
      metadata.push_back({printable(entry.key, kMaxNameBytes), entry.value.type_text(), entry.value.text()});
    }
    return metadata;
  }
  for (const auto& [key, value] : file.folder()->config().items()) {
    metadata.push_back(
        {printable(key, kMaxNameBytes), value.type_name(), printable(value.dump(), kMaxNameBytes)});
  }
  return metadata;
}

std::string readable(const std::string& key, const Json& value) {
  if (key == "types") {
    std::string list;
    for (const auto& [type, count] : value.items()) {
      list += fmt::format("{}{} x {}", list.empty() ? "" : ", ", count.get<uint64_t>(), type);
    }
    return list;
  }
  if (key == "file_bytes" || key == "kv_bytes_per_token_f16") {
    return fmt::format("{} ({})", grouped(value.get<uint64_t>()), human_bytes(value.get<uint64_t>()));
  }
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_unsigned()) return grouped(value.get<uint64_t>());
  return value.get<std::string>();
}

Status info(const InfoFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  Json facts = facts_of(file);
  std::string lines;
  for (const auto& [key, value] : facts.items()) {
    const std::string text = readable(key, value);
    if (!text.empty()) lines += fmt::format("{:<24}{}\n", key, text);
  }
  if (flags.metadata) {
    Json metadata = Json::object();
    lines += "\n";
    for (const Statement& said : metadata_of(file)) {
      metadata[said.key] = said.text;
      lines += fmt::format("{} ({}) = {}\n", said.key, said.type, said.text);
    }
    facts["metadata"] = std::move(metadata);
  }
  return flags.json ? write_json(facts) : write_out(lines);
}

}  // namespace

void register_info(CLI::App& app, Action& action) {
  auto flags = std::make_shared<InfoFlags>();
  CLI::App& verb = *app.add_subcommand("info", "Show the facts of a model file");
  add_model_flag(verb, flags->model);
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--metadata", flags->metadata, "All keys of the file, too");
  verb.add_flag("--json", flags->json, "Print them as JSON");
  verb.callback([flags, &action] { action = [flags] { return info(*flags); }; });
}

}  // namespace headrace::cli
