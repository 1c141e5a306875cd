// Completion scripts and the man page, as shells and man take them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "program.h"

namespace headrace::testing {
namespace {

// What a command of the shell writes to standard output.
std::string shell(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  HEADRACE_CHECK(pipe != nullptr);
  std::string out;
  char block[4096];
  for (size_t count = 0; (count = std::fread(block, 1, sizeof block, pipe)) > 0;) out.append(block, count);
  const int status = ::pclose(pipe);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command;
  return out;
}

std::string script(const std::string& name) {
  const Outcome outcome = headrace({"completion", name});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return file_with("completion." + name, outcome.out);
}

// The answers of bash for these words, the last of which is being typed.
std::vector<std::string> completed(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += " '" + word + "'";
  const std::string program =
      file_with("complete.sh", "set -eu\ncd " + test_folder().string() + "\nsource " + script("bash") +
                                   "\nCOMP_WORDS=(" + list + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n" +
                                   "COMP_LINE=\"${COMP_WORDS[*]}\"\nCOMP_POINT=${#COMP_LINE}\n_headrace\n" +
                                   "((${#COMPREPLY[@]} == 0)) || printf '%s\\n' \"${COMPREPLY[@]}\"\n");
  std::istringstream lines(shell("bash --norc " + program));
  std::vector<std::string> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(line);
  return answers;
}

using Answers = std::vector<std::string>;

TEST(Completion, VerbsAndFlagsOfTheVerbAreCompleted) {
  EXPECT_EQ(completed({"headrace", "perp"}), Answers({"perplexity"}));
  EXPECT_EQ(completed({"headrace", "de"}), Answers({"detokenize"}));
  EXPECT_EQ(completed({"headrace", "run", "--top-"}), Answers({"--top-k", "--top-p"}));
  EXPECT_EQ(completed({"headrace", "doctor", "--top-"}), Answers());
  EXPECT_EQ(completed({"headrace", "run", "-m", "x", "--predi"}), Answers({"--predict"}));
  EXPECT_GT(completed({"headrace", ""}).size(), 9U);
}

TEST(Completion, ValuesAreCompletedWhereTheyAreKnown) {
  EXPECT_EQ(completed({"headrace", "run", "--cache-type-k", ""}), Answers({"f32", "f16", "bf16"}));
  EXPECT_EQ(completed({"headrace", "run", "--activations", "i"}), Answers({"int8"}));
  EXPECT_EQ(completed({"headrace", "chat", "--on-full", "d"}), Answers({"drop"}));
  EXPECT_EQ(completed({"headrace", "completion", "z"}), Answers({"zsh"}));
  EXPECT_EQ(completed({"headrace", "run", "--temp", ""}), Answers());
  EXPECT_EQ(completed({"headrace", "run", "--cache-type-v", "=", "b"}), Answers({"bf16"}));
}

TEST(Completion, ModelsAndFilesAreCompleted) {
  file_with("smollm-of-mine.gguf", "");
  const Answers models = completed({"headrace", "run", "-m", "smol"});
  EXPECT_NE(std::find(models.begin(), models.end(), "smollm2:135m"), models.end());
  EXPECT_NE(std::find(models.begin(), models.end(), "smollm-of-mine.gguf"), models.end());
  // Bash has cut the word at the colon and wants the rest only.
  EXPECT_EQ(completed({"headrace", "run", "-m", "smollm2", ":", "13"}), Answers({"135m"}));
  EXPECT_EQ(completed({"headrace", "pull", "smollm2", ":"}).size(), 1U);
  EXPECT_EQ(completed({"headrace", "run", "-f", "smollm-of"}), Answers({"smollm-of-mine.gguf"}));
}

TEST(Completion, EveryFlagOfEveryVerbIsInEveryScript) {
  const std::string help = headrace({"run", "--help"}).out;
  for (const char* name : {"bash", "zsh", "fish"}) {
    const std::string text = headrace({"completion", name}).out;
    for (const char* flag : {"ctx-size", "predict", "on-full", "template", "chunks", "verify", "min-p"}) {
      EXPECT_TRUE(contains(text, flag)) << name << " " << flag;
    }
  }
  EXPECT_TRUE(contains(help, "--min-p"));
  EXPECT_EQ(headrace({"completion", "tcsh"}).exit_code, 2);
  EXPECT_EQ(headrace({"completion"}).exit_code, 2);
}

TEST(Man, ThePageHasVerbsFlagsAndExitCodes) {
  const Outcome outcome = headrace({"man"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with(".TH HEADRACE 1"));
  for (const char* part : {".SH NAME", ".SS \"headrace chat\"", "\\fB\\-\\-on\\-full\\fR",
                           ".SH \"EXIT STATUS\"", "130  interrupted", "HEADRACE_CTX_SIZE", ".SH EXAMPLES"}) {
    EXPECT_TRUE(contains(outcome.out, part)) << part;
  }
}

TEST(Usage, FlagsStandUnderHeadings) {
  const std::string help = headrace({"run", "--help"}).out;
  size_t last = 0;
  for (const char* heading : {"\nModel:", "\nPrompt:", "\nSampling:", "\nEngine:", "\nOutput:"}) {
    const size_t at = help.find(heading);
    ASSERT_NE(at, std::string::npos) << heading;
    EXPECT_GT(at, last) << heading;
    last = at;
  }
  EXPECT_FALSE(contains(help, "Env:"));
}

}  // namespace
}  // namespace headrace::testing
