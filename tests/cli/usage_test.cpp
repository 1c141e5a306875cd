// Flags, the environment, exit codes and where the program writes what.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

// One line that begins as every error does.
void expect_error_line(const Outcome& outcome, int exit_code, const std::string& part) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("headrace: error: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, part)) << outcome.err;
}

TEST(Usage, HelpAndVersionGoToStandardOutput) {
  const Outcome help = headrace({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.err, "");
  for (const char* word : {"run", "batch", "info", "perplexity", "bench", "verify", "pull", "doctor",
                           "tokenize", "detokenize", "Exit codes", "130", "HEADRACE_CTX_SIZE", "Examples"}) {
    EXPECT_TRUE(contains(help.out, word)) << word;
  }
  const Outcome version = headrace({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("headrace ")) << version.out;
  EXPECT_EQ(headrace({"run", "--help"}).exit_code, 0);
}

TEST(Usage, WithoutAVerbHelpGoesToStandardErrorAndTheCodeIsTwo) {
  const Outcome outcome = headrace({});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "Examples"));
}

TEST(Usage, UnknownVerbsAndFlagsAndMissingOnesAreUsageErrors) {
  expect_error_line(headrace({"dance"}), 2, "dance");
  expect_error_line(headrace({"run", "--dance", "-m", llama_file(), "-p", "x"}), 2, "--dance");
  expect_error_line(headrace({"run", "-p", "x"}), 2, "--model");
  expect_error_line(headrace({"run", "-m", llama_file()}), 2, "-p");
  expect_error_line(headrace({"run", "-m", llama_file(), "-p", "x", "-f", "y"}), 2, "--file");
}

TEST(Usage, NumbersOutOfRangeNameTheFlagAndTheRange) {
  struct Case {
    std::string flag;
    std::string value;
    std::string name;
    std::string range;
  };
  const Case cases[] = {
      {"-c", "-1", "--ctx-size", "0 to 4294967295"},
      {"-c", "99999999999999999999", "--ctx-size", "0 to 4294967295"},
      {"-t", "1025", "--threads", "0 to 1024"},
      {"-tb", "-1", "--threads-batch", "0 to 1024"},
      {"-b", "0", "--batch-size", "1 to 65536"},
      {"-n", "-2", "--predict", "-1 to 2147483647"},
      {"-n", "1e3", "--predict", "-1 to 2147483647"},
      {"-s", "-2", "--seed", "0 to 18446744073709551615"},
      {"-s", "18446744073709551616", "--seed", "0 to 18446744073709551615"},
      {"--temp", "nan", "--temp", "-1 to 10000"},
      {"--temp", "-1.1", "--temp", "-1 to 10000"},
      {"--temp", "inf", "--temp", "-1 to 10000"},
      {"--top-k", "-2", "--top-k", "-1 to"},
      {"--top-p", "-0.1", "--top-p", "0 to 1"},
      {"--top-p", "1.01", "--top-p", "0 to 1"},
      {"--min-p", "nan", "--min-p", "0 to 1"},
      {"--repeat-penalty", "0", "--repeat-penalty", "0.0001 to 10000"},
      {"--repeat-last-n", "-2", "--repeat-last-n", "-1 to"},
      {"--presence-penalty", "1e39", "--presence-penalty", "-10000 to 10000"},
      {"--frequency-penalty", "nan", "--frequency-penalty", "-10000 to 10000"},
      {"--logprobs", "101", "--logprobs", "0 to 100"},
      {"--logit-bias", "7", "--logit-bias", "TOKEN_ID"},
      {"--logit-bias", "7+nan", "--logit-bias", "TOKEN_ID"},
      {"--memory", "lots", "--memory", "512M"},
      {"-ctk", "q8_0", "--cache-type-k", "f32, f16 or bf16"},
      {"-ctv", "f8", "--cache-type-v", "f32, f16 or bf16"},
      {"--activations", "int4", "--activations", "int8 or f32"},
      {"--numerics", "fast", "--numerics", "not built yet"},
      {"--numerics", "exakt", "--numerics", "expected exact or machine"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.flag + " " + c.value);
    const Outcome outcome = headrace({"run", "-m", llama_file(), "-p", "x", c.flag, c.value});
    expect_error_line(outcome, 2, c.name);
    EXPECT_TRUE(contains(outcome.err, c.range)) << outcome.err;
  }
}

TEST(Usage, ATokenBiasBeyondTheVocabularyIsRefused) {
  expect_error_line(headrace({"run", "-m", llama_file(), "-p", "x", "-l", "264+1"}), 2, "264");
}

int generated(const std::vector<std::string>& extra, const Surroundings& surroundings) {
  std::vector<std::string> arguments = {"run", "-p", "x", "--json", "--ignore-eos"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  const Outcome outcome = headrace(arguments, surroundings);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  return json.is_object() ? json.value("generated_tokens", -1) : -1;
}

TEST(Usage, EveryFlagHasAVariableAndTheFlagWins) {
  const Surroundings with = {.environment = {{"HEADRACE_MODEL", llama_file()}, {"HEADRACE_PREDICT", "3"}}};
  EXPECT_EQ(generated({}, with), 3);
  EXPECT_EQ(generated({"-n", "5"}, with), 5);
  EXPECT_EQ(generated({"--predict", "4"}, with), 4);
}

TEST(Usage, AVariableIsCheckedLikeItsFlagButOnlyByVerbsThatHaveIt) {
  const Surroundings with = {.environment = {{"HEADRACE_CTX_SIZE", "many"}}};
  expect_error_line(headrace({"run", "-m", llama_file(), "-p", "x"}, with), 2, "--ctx-size");
  EXPECT_EQ(headrace({"doctor"}, with).exit_code, 0);
}

TEST(Usage, TextOnTheCommandLineHidesTextFromTheEnvironment) {
  const Surroundings with = {.environment = {{"HEADRACE_FILE", "/nowhere"}}};
  EXPECT_EQ(headrace({"tokenize", "-m", llama_file(), "-p", "x"}, with).exit_code, 0);
  EXPECT_EQ(headrace({"tokenize", "-m", llama_file()}, with).exit_code, 5);
}

TEST(Usage, ValuesMayBeginWithADash) {
  const Outcome outcome = headrace({"tokenize", "-m", llama_file(), "-p", "-5 degrees", "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["ids"].size(), 10U);
}

TEST(Usage, AClosedPipeEndsQuietlyAndAFullDiskDoesNot) {
  const std::vector<std::string> arguments = {"run", "-m", llama_file(), "-p",
                                              "x",   "-n", "100",        "--ignore-eos"};
  const Outcome closed = headrace(arguments, {.reader_gone = true});
  EXPECT_EQ(closed.exit_code, 0);
  EXPECT_EQ(closed.err, "");
  const Outcome full = headrace(arguments, {.stdout_path = "/dev/full"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_TRUE(contains(full.err, "standard output")) << full.err;
}

TEST(Usage, AFlagOfSeveralLettersBehindOneDashIsNamedWhole) {
  const Outcome outcome = headrace({"run", "-m", "x", "-ngl", "3", "-p", "a"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "-ngl")) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
