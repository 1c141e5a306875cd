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
#include "text/tokenizer_gguf.h"

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

// Tensors of each type, in the order of DType.
Json count_types(const GgufFile& file) {
  std::array<uint64_t, kDTypes> counts{};
  for (const GgufTensor& tensor : file.tensors()) ++counts[static_cast<size_t>(tensor.type)];
  Json types = Json::object();
  for (size_t i = 0; i < kDTypes; ++i) {
    if (counts[i] > 0) types[std::string(name_of(static_cast<DType>(i)))] = counts[i];
  }
  return types;
}

uint64_t count_parameters(const GgufFile& file) {
  uint64_t parameters = 0;
  for (const GgufTensor& tensor : file.tensors()) parameters += tensor.rows() * tensor.row_elements();
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

void add_tokenizer_facts(const GgufFile& file, Json& facts) {
  facts["tokenizer"] = text_key(file, "tokenizer.ggml.model");
  facts["pre_tokenizer"] = text_key(file, "tokenizer.ggml.pre");
  facts["chat_template"] = !text_key(file, "tokenizer.chat_template").empty();
  const Result<Tokenizer> tokenizer = load_tokenizer(file);
  if (!tokenizer) facts["tokenizer_error"] = tokenizer.error().message;
}

Json facts_of(const GgufFile& file) {
  const Result<ModelInfo> info = describe_model(file);
  Json facts = {{"file", printable(file.name(), kMaxNameBytes)},
                {"name", text_key(file, "general.name")},
                {"architecture", text_key(file, "general.architecture")},
                {"supported", static_cast<bool>(info)}};
  if (!info) facts["why_not"] = info.error().message;
  facts["licence"] = text_key(file, "general.license");
  facts["parameters"] = count_parameters(file);
  facts["file_bytes"] = file.file_bytes();
  facts["gguf_version"] = file.version();
  facts["tensors"] = file.tensors().size();
  facts["types"] = count_types(file);
  if (info) facts.update(shape_facts(*info));
  add_tokenizer_facts(file, facts);
  return facts;
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
  HEADRACE_TRY(const GgufFile file, open_model_file(flags.model));
  Json facts = facts_of(file);
  std::string lines;
  for (const auto& [key, value] : facts.items()) {
    const std::string text = readable(key, value);
    if (!text.empty()) lines += fmt::format("{:<24}{}\n", key, text);
  }
  if (flags.metadata) {
    Json metadata = Json::object();
    lines += "\n";
    for (const GgufEntry& entry : file.metadata()) {
      const std::string key = printable(entry.key, kMaxNameBytes);
      metadata[key] = entry.value.text();
      lines += fmt::format("{} ({}) = {}\n", key, entry.value.type_text(), entry.value.text());
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
