#include "formats/hf_folder.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "formats/model_file.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

// A folder of this test process, removed in the end.
class Folder : public ::testing::Test {
 protected:
  Folder() { fs::create_directories(path_); }
  ~Folder() override { fs::remove_all(path_); }
  void put(const char* name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  void put_weights() const { put("model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10)); }
  std::string refusal(const fs::path& path) const {
    const auto file = ModelFile::open(path);
    return file ? "" : file.error().message;
  }

  const fs::path path_ = fs::temp_directory_path() / ("hf_folder_test." + std::to_string(::getpid()));
};

TEST_F(Folder, OpensByItsPathOrByTheFilesInside) {
  put("config.json", R"({"model_type":"llama"})");
  put_weights();
  for (const fs::path& path : {path_, path_ / "config.json", path_ / "model.safetensors"}) {
    const auto file = ModelFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_NE(file->folder(), nullptr);
    EXPECT_EQ(file->folder()->config().at("model_type"), "llama");
  }
}

TEST_F(Folder, WhatIsMissingIsNamed) {
  EXPECT_NE(refusal(path_).find("a folder without config.json"), std::string::npos);
  put("config.json", "{}");
  EXPECT_NE(refusal(path_).find("model.safetensors is missing"), std::string::npos);
  put("model.safetensors.index.json", "{}");
  EXPECT_NE(refusal(path_).find("weights in several files are not supported"), std::string::npos);
}

TEST_F(Folder, AConfigThatIsNoJsonOrTooLongIsRefused) {
  put_weights();
  put("config.json", "{\"a\":");
  EXPECT_NE(refusal(path_).find("config.json: not valid JSON at byte"), std::string::npos);
  put("config.json", "{\"a\":1,\"a\":2}");
  EXPECT_NE(refusal(path_).find("the key \"a\" stands twice"), std::string::npos);
  put("config.json", std::string(kMaxConfigBytes + 1, ' '));
  EXPECT_NE(refusal(path_), "");
}

TEST_F(Folder, FilesBesideTheConfigAreReadIfThereAreAny) {
  put("config.json", "{}");
  put_weights();
  put("chat_template.jinja", "x");
  const HfFolder folder = HfFolder::open(path_).value();
  EXPECT_EQ(folder.read("chat_template.jinja").value(), "x");
  EXPECT_EQ(folder.read("tokenizer_config.json").value(), std::nullopt);
  EXPECT_FALSE(folder.read("chat_template.jinja", 0));
}

TEST_F(Folder, APipeInTheFolderIsRefusedInsteadOfWaitedFor) {
  put("config.json", "{}");
  put_weights();
  ASSERT_EQ(::mkfifo((path_ / "tokenizer.json").c_str(), 0600), 0);
  EXPECT_FALSE(HfFolder::open(path_).value().read("tokenizer.json"));
}

}  // namespace
}  // namespace headrace
