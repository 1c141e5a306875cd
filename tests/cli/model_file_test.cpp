// What happens with files that are no models, and what info says about those that are.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

std::string of_architecture(const std::string& five_letters) {
  std::string bytes = tiny_llama().bytes();
  const size_t key = bytes.find("general.architecture");
  bytes.replace(bytes.find("llama", key), 5, five_letters);
  return bytes;
}

void expect_refused(const std::string& path, int exit_code, const std::string& part) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", "-m", path, "-p", "x"}, {"tokenize", "-m", path, "-p", "x"}}) {
    const Outcome outcome = headrace(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("headrace: error: ")) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, part)) << outcome.err;
  }
}

TEST(ModelFile, MissingFilesAndFoldersAreSaidToBeThat) {
  expect_refused((test_folder() / "nowhere.gguf").string(), 5, "no such file");
  expect_refused(test_folder().string(), 5, "a folder without config.json");
  expect_refused("smollm2:135m", 5, "headrace pull smollm2:135m");
}

TEST(ModelFile, EmptyAndForeignFilesAreRefused) {
  const Outcome empty = headrace({"run", "-m", file_with("empty.gguf", ""), "-p", "x"});
  EXPECT_TRUE(empty.exit_code == 1 || empty.exit_code == 3) << empty.exit_code;
  EXPECT_TRUE(contains(empty.err, "empty")) << empty.err;
  expect_refused(file_with("text.gguf", "This is a letter, not a model.\n"), 3, "text.gguf");
}

TEST(ModelFile, AFileCutAnywhereInItsHeaderIsABadModel) {
  const std::string bytes = tiny_llama().bytes();
  const GgufFile file = GgufFile::parse("whole", as_bytes(bytes)).value();
  const size_t header = file.tensors().front().offset;
  // Each byte of the fixed part, then samples: the formats room cuts at every byte.
  for (size_t size = 1; size < header; size += size < 48 ? 1 : 173) {
    const Outcome outcome = headrace({"info", "-m", file_with("cut.gguf", bytes.substr(0, size))});
    ASSERT_EQ(outcome.exit_code, 3) << size << ": " << outcome.err;
    ASSERT_TRUE(contains(outcome.err, "cut.gguf")) << outcome.err;
  }
  EXPECT_EQ(headrace({"info", "-m", file_with("cut.gguf", bytes.substr(0, bytes.size() - 1))}).exit_code, 3);
}

TEST(ModelFile, AnUnknownArchitectureRunsNotButItsFactsAreShown) {
  const std::string path = file_with("mamba.gguf", of_architecture("mamba"));
  const Outcome refused = headrace({"run", "-m", path, "-p", "x"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_TRUE(contains(refused.err, "mamba")) << refused.err;
  const Outcome info = headrace({"info", "-m", path, "--json"});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  const Json json = Json::parse(info.out);
  EXPECT_EQ(json["architecture"], "mamba");
  EXPECT_EQ(json["supported"], false);
  EXPECT_GT(json["parameters"].get<int>(), 0);
}

TEST(ModelFile, AFolderAndTheGgufFileMadeOfItAreTheSameModel) {
  for (const char* name : {"llama-gqa-untied-bias", "qwen2-gqa-tied", "gemma3-window"}) {
    const std::string folder = std::string(HEADRACE_GOLDEN) + "/models/" + name;
    const auto outputs = [&](const std::string& model) {
      std::string all;
      for (const std::vector<std::string>& arguments :
           {std::vector<std::string>{"run", "-m", model, "--raw", "-p", "The river", "-n", "16", "--temp",
                                     "0", "-q"},
            {"tokenize", "-m", model, "-p", "Wasser, 水 12"}}) {
        const Outcome outcome = headrace(arguments);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        all += outcome.out;
      }
      return all;
    };
    const std::string of_folder = outputs(folder);
    EXPECT_GT(of_folder.size(), 20U);
    EXPECT_EQ(of_folder, outputs(folder + "/model.gguf")) << name;
    EXPECT_EQ(of_folder, outputs(folder + "/config.json")) << name;
  }
}

TEST(ModelFile, InfoShowsTheFactsOfAFolder) {
  const Outcome outcome = headrace(
      {"info", "-m", std::string(HEADRACE_GOLDEN) + "/models/qwen2-gqa-tied", "--json", "--metadata"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["architecture"], "qwen2");
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["chat_template"], true);
  EXPECT_EQ(json["metadata"]["hidden_size"], "32");
}

TEST(ModelFile, InfoShowsTheFacts) {
  const Outcome outcome = headrace({"info", "-m", llama_file(), "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["supported"], true);
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["heads"], 4);
  EXPECT_EQ(json["kv_heads"], 2);
  EXPECT_EQ(json["vocabulary"], kTinyLlamaVocab);
  EXPECT_EQ(json["context"], 32768);
  EXPECT_EQ(json["chat_template"], true);
  EXPECT_EQ(json["licence"], "apache-2.0");
  EXPECT_EQ(json["kv_bytes_per_token_f16"], 2 * 2 * 2 * 16 * 2);
  EXPECT_EQ(json["types"]["F32"], 1 + 2 * 9 + 1);
  EXPECT_EQ(json["file_bytes"], std::filesystem::file_size(llama_file()));
  EXPECT_FALSE(json.contains("metadata"));
}

TEST(ModelFile, InfoListsAllKeysOnRequest) {
  const Outcome outcome = headrace({"info", "-m", gemma3_file(), "--metadata"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "gemma3.attention.sliding_window (u32) = 8")) << outcome.out;
  const Json json = Json::parse(headrace({"info", "-m", gemma3_file(), "--metadata", "--json"}).out);
  EXPECT_EQ(json["metadata"]["gemma3.attention.sliding_window"], "8");
}

}  // namespace
}  // namespace headrace::testing
