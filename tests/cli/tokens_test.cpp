#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

Json ids(const std::string& model, const std::string& text, std::vector<std::string> extra = {}) {
  std::vector<std::string> arguments = {"tokenize", "-m", model, "-f", "-", "--json"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  const Outcome outcome = headrace(arguments, {.input = text});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return Json::parse(outcome.out)["ids"];
}

TEST(Tokens, AreThoseOfTheVocabulary) {
  EXPECT_EQ(ids(llama_file(), " the<|im_end|>"), Json({261, 2}));
  EXPECT_EQ(ids(llama_file(), "<|im_end|>", {"--no-special"}).size(), 10U);
  EXPECT_EQ(ids(gemma3_file(), "z"), Json({2, 293}));
  EXPECT_EQ(ids(gemma3_file(), "z", {"--no-bos"}), Json({293}));
  EXPECT_EQ(ids(llama_file(), ""), Json::array());
}

TEST(Tokens, OneALineWithoutJson) {
  const Outcome outcome = headrace({"tokenize", "-m", llama_file(), "-p", "the\n"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "     260 'the'\n      13 '\\x0a'\n");
}

TEST(Tokens, AnyTextSurvivesTheRoundTrip) {
  const std::string texts[] = {"the cat in the hat", "  two  spaces\n\n", "na\xC3\xAFve \xF0\x9F\x98\x80",
                               "<|im_start|>x", std::string("nul\0byte", 8)};
  for (const std::string& model : {llama_file(), gemma3_file()}) {
    for (const std::string& text : texts) {
      const Outcome tokens = headrace({"tokenize", "-m", model, "-f", "-", "--json"}, {.input = text});
      const Outcome back =
          headrace({"detokenize", "-m", model, "-f", "-", "--no-bos"}, {.input = tokens.out});
      EXPECT_EQ(back.exit_code, 0) << back.err;
      EXPECT_EQ(back.out, text);
    }
  }
}

TEST(Tokens, IdsMayBeSeparatedByCommasOrSpace) {
  for (const char* list : {"260 261", "260,261", " 260,\n261 ", "[260, 261]", "{\"ids\":[260,261]}"}) {
    const Outcome outcome = headrace({"detokenize", "-m", llama_file(), "-p", list, "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(Json::parse(outcome.out), Json({{"text", "the the"}}));
  }
}

TEST(Tokens, WhatIsNoIdIsAUsageError) {
  for (const char* list :
       {"264", "-1", "x", "1.5", "99999999999", "[1,-2]", "[\"1\"]", "{\"tokens\":[1]}", "[1"}) {
    const Outcome outcome = headrace({"detokenize", "-m", llama_file(), "-p", list});
    EXPECT_EQ(outcome.exit_code, 2) << list << ": " << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(Tokens, SpecialOnesCanBeLeftOut) {
  EXPECT_EQ(headrace({"detokenize", "-m", llama_file(), "-p", "1 260 2"}).out, "<|im_start|>the<|im_end|>");
  EXPECT_EQ(headrace({"detokenize", "-m", llama_file(), "-p", "1 260 2", "--no-special"}).out, "the");
}

}  // namespace
}  // namespace headrace::testing
