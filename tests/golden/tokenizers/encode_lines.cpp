// encode_lines FILE.gguf|FOLDER: encodes and decodes texts for compare.py. FOLDER holds a tokenizer.json.
//
// Reads lines {"text": ...} or {"ids": [...]}; writes for each text the ids with and without special tokens,
// and for each list of ids the text with and without skipping those.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "formats/gguf.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

Result<std::string> contents(const std::filesystem::path& path, bool optional) {
  if (optional && !std::filesystem::exists(path)) return std::string();
  HEADRACE_TRY(const MappedFile file, MappedFile::open(path.string()));
  const std::span<const std::byte> bytes = file.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<Tokenizer> load(const std::string& path) {
  if (path.ends_with(".gguf")) {
    HEADRACE_TRY(const GgufFile file, GgufFile::open(path));
    return load_tokenizer(file);
  }
  const std::filesystem::path folder = path;
  HEADRACE_TRY(const std::string tokenizer, contents(folder / "tokenizer.json", false));
  HEADRACE_TRY(const std::string config, contents(folder / "tokenizer_config.json", true));
  HEADRACE_TRY(const std::string chat_template, contents(folder / "chat_template.jinja", true));
  return load_tokenizer_json(path, tokenizer, config, chat_template);
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip_special) {
  StreamDetokenizer stream(tokenizer, {.at_sequence_start = true, .skip_special = skip_special});
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

Json answer(const Tokenizer& tokenizer, const Json& line) {
  Json out;
  if (line.contains("text")) {
    const std::string text = line["text"];
    out["special"] = tokenizer.encode(text, {.special = true});
    out["plain"] = tokenizer.encode(text, {.special = false});
    out["pieces"] = tokenizer.encode(std::vector<TextPiece>{{text, false}}, true);
  } else {
    const std::vector<TokenId> ids = line["ids"];
    out["text"] = tokenizer.decode(ids, false);
    out["skipped"] = tokenizer.decode(ids, true);
    out["streams"] =
        streamed(tokenizer, ids, false) == out["text"] && streamed(tokenizer, ids, true) == out["skipped"];
  }
  return out;
}

}  // namespace
}  // namespace headrace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: encode_lines FILE.gguf|FOLDER <LINES\n", stderr);
    return 2;
  }
  const auto tokenizer = headrace::load(argv[1]);
  if (!tokenizer) {
    std::fprintf(stderr, "encode_lines: %s\n", tokenizer.error().message.c_str());
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << headrace::answer(*tokenizer, headrace::Json::parse(line)).dump() << '\n';
  }
  return 0;
}
