// bench/make_random_model.cpp makes files that the program runs.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

#include "program.h"

namespace headrace::testing {
namespace {

struct Made {
  int exit_code;
  std::string path;
  std::string err;
};

Made make(const std::string& name, const std::string& flags, const std::string& before = "") {
  const std::string path = (test_folder() / name).string();
  const std::string err = path + ".stderr";
  const std::string command = before + "'" HEADRACE_MAKE_RANDOM_MODEL "' '" + path + "' " + flags + " > '" +
                              path + ".stdout' 2> '" + err + "'";
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), path, content_of(err)};
}

const std::string kTinyShape = " --layers 2 --width 256 --ffn 512 --heads 4 --kv-heads 2 --vocab 600";

TEST(RandomModel, FilesOfEveryTypeAreRun) {
  for (const std::string type : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K"}) {
    for (const std::string output : {"", " --untied"}) {
      const Made made = make("random.gguf", "--type " + type + kTinyShape + output);
      ASSERT_EQ(made.exit_code, 0) << made.err;
      const Outcome outcome = headrace(
          {"run", "-m", made.path, "-p", "hello", "-n", "4", "--temp", "0", "--ignore-eos", "--json"});
      ASSERT_EQ(outcome.exit_code, 0) << type << output << ": " << outcome.err;
      EXPECT_EQ(nlohmann::json::parse(outcome.out)["generated_tokens"], 4);
    }
  }
}

TEST(RandomModel, LogitsComeFromSixBitsInFilesOfFour) {
  const Made tied = make("tied.gguf", "--type Q4_K" + kTinyShape);
  const Made untied = make("untied.gguf", "--type Q4_K --untied" + kTinyShape);
  EXPECT_TRUE(contains(headrace({"info", "-m", tied.path}).out, "5 x F32, 14 x Q4_K, 1 x Q6_K"));
  EXPECT_TRUE(contains(headrace({"info", "-m", untied.path}).out, "5 x F32, 15 x Q4_K, 1 x Q6_K"));
}

TEST(RandomModel, ThreadsDoNotChangeTheBytesAndTheSeedDoes) {
  const std::string flags = "--type Q8_0 --vocab 20000" + kTinyShape.substr(0, kTinyShape.find(" --vocab"));
  const std::string bytes = content_of(make("one.gguf", flags + " --threads 1").path);
  EXPECT_FALSE(bytes.empty());
  EXPECT_TRUE(content_of(make("three.gguf", flags + " --threads 3").path) == bytes);
  EXPECT_FALSE(content_of(make("other.gguf", flags + " --seed 2").path) == bytes);
}

TEST(RandomModel, SaysWhyThereIsNoFile) {
  EXPECT_TRUE(contains(make("a.gguf", "--type Q9_9").err, "--type Q9_9 is none of F32"));
  EXPECT_TRUE(
      contains(make("a.gguf", "--type Q4_K --width 64").err, "--width is 64, but Q4_K comes in blocks"));
  const Made full = make("full.gguf", "--type Q8_0", "trap '' XFSZ; ulimit -f 100; ");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_TRUE(contains(full.err, "full.gguf cannot be written: File too large")) << full.err;
  EXPECT_FALSE(std::filesystem::exists(full.path));
  EXPECT_FALSE(std::filesystem::exists(full.path + ".part"));
}

}  // namespace
}  // namespace headrace::testing
