#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace headrace {
namespace {

using Words = std::vector<std::string_view>;

Words split(std::string_view pre_tokenizer, std::string_view text) {
  return PreTokenizer::create(pre_tokenizer).value().split(text);
}

TEST(PreTokenizer, Gpt2KeepsOneSpaceWithTheWordThatFollows) {
  EXPECT_EQ(split("gpt-2", "Hello world's   42!?\n"),
            (Words{"Hello", " world", "'s", "  ", " 42", "!?", "\n"}));
}

TEST(PreTokenizer, NoNameMeansGpt2) {
  EXPECT_EQ(split("", "it's 42"), split("gpt-2", "it's 42"));
  EXPECT_EQ(split("default", "it's 42"), split("gpt-2", "it's 42"));
}

TEST(PreTokenizer, SmolLmCutsDigitsApartBeforeAnythingElse) {
  EXPECT_EQ(split("smollm", "in 2024 \xC2\xBD"), (Words{"in", " ", "2", "0", "2", "4", " ", "\xC2\xBD"}));
}

TEST(PreTokenizer, Llama3GroupsThreeDigitsAndKnowsCapitalContractions) {
  EXPECT_EQ(split("llama-bpe", "1234'LL (word)\n\nx"),
            (Words{"123", "4", "'LL", " (", "word", ")\n\n", "x"}));
}

TEST(PreTokenizer, Qwen2TakesDigitsOneByOne) {
  EXPECT_EQ(split("qwen2", "a12 \n b"), (Words{"a", "1", "2", " \n", " b"}));
}

TEST(PreTokenizer, DeepSeekCoderCutsLinesLettersPunctuationHanAndDigits) {
  EXPECT_EQ(split("deepseek-coder", "if x,\n12 \xE4\xB8\xAD\xE6\x96\x87\xF0\x9F\x99\x82"),
            (Words{"if", " x", ",", "\n", "1", "2", " ", "\xE4\xB8\xAD\xE6\x96\x87", "\xF0\x9F\x99\x82"}));
}

TEST(PreTokenizer, WhiteSpaceIsWhatUnicodeCallsSo) {
  const std::string ideographic_space = "\xE3\x80\x80";  // U+3000: white space
  const std::string vowel_separator = "\xE1\xA0\x8E";    // U+180E: no longer
  EXPECT_EQ(split("gpt-2", "x" + ideographic_space + " y").size(), 3u);
  EXPECT_EQ(split("gpt-2", "x " + vowel_separator), (Words{"x", " \xE1\xA0\x8E"}));
}

TEST(PreTokenizer, UnknownNameIsRefusedByName) {
  const auto refused = PreTokenizer::create("klingon-\x1b[2J");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_NE(refused.error().message.find("klingon-\\x1b"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("tokenizer.ggml.pre"), std::string::npos);
}

TEST(PreTokenizer, NoTextIsLostHoweverLongItsRuns) {
  constexpr size_t kBytes = size_t{1} << 20;
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-coder"}) {
    const PreTokenizer splitter = PreTokenizer::create(name).value();
    for (const std::string_view unit :
         {"a", " ", "\n", "\t", "7", ".", "'", " \n", "a ", "\xCC\x81", "\xC2\xA0"}) {
      std::string text;
      while (text.size() < kBytes) text += unit;
      text += "x";
      std::string joined;
      for (const std::string_view word : splitter.split(text)) {
        ASSERT_FALSE(word.empty());
        joined += word;
      }
      EXPECT_TRUE(joined == text) << name << " loses a run of \"" << unit << "\"";
    }
  }
}

}  // namespace
}  // namespace headrace
