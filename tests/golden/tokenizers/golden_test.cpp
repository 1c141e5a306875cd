// Tiny tokenizers of every family against what Hugging Face's library gave: see make_golden.py.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "text/stream_detokenizer.h"
#include "text/tokenizer_json.h"

namespace headrace {
namespace {

using Ids = std::vector<TokenId>;
using Json = nlohmann::json;

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

std::vector<Json> cases(const std::filesystem::path& path) {
  std::vector<Json> all;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) all.push_back(Json::parse(line));
  return all;
}

class GoldenTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder = std::filesystem::path(HEADRACE_GOLDEN_TOKENIZERS) / GetParam();
};

TEST_P(GoldenTokenizer, GivesTheIdsAndTextsOfThePublishedLibrary) {
  const auto tokenizer = load_tokenizer_json(GetParam(), contents(folder / "tokenizer.json"), "", "");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::vector<Json> all = cases(folder / "cases.jsonl");
  ASSERT_GT(all.size(), 150U);
  for (const Json& one : all) {
    const std::string text = one["text"];
    const Ids ids = one["ids"];
    EXPECT_EQ(tokenizer->encode(text), ids) << one["text"];
    EXPECT_EQ(tokenizer->encode(text, {.special = false}), one["plain"].get<Ids>()) << one["text"];
    EXPECT_EQ(tokenizer->encode(std::vector<TextPiece>{{text, false}}, true), one["plain"].get<Ids>());
    EXPECT_EQ(tokenizer->decode(ids, false), one["decoded"].get<std::string>()) << one["text"];
    EXPECT_EQ(tokenizer->decode(ids, true), one["skipped"].get<std::string>()) << one["text"];
    StreamDetokenizer stream(*tokenizer, {.at_sequence_start = true});
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), one["skipped"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTokenizer,
                         ::testing::Values("gpt-2", "smollm", "llama-bpe", "qwen2", "llama", "mistral",
                                           "gemma"),
                         [](const auto& family) {
                           std::string name = family.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace headrace
