#include "cli/bench_list.h"

#include <gtest/gtest.h>

namespace headrace::cli {
namespace {

using Numbers = std::vector<uint32_t>;

TEST(BenchList, NumbersAndRangesAsLlamaBenchReadsThem) {
  const auto numbers = [](const char* text) { return parse_numbers(text, 0, 1 << 20).value(); };
  EXPECT_EQ(numbers("512"), Numbers({512}));
  EXPECT_EQ(numbers("0"), Numbers({0}));
  EXPECT_EQ(numbers("128,64,128"), Numbers({128, 64, 128}));
  EXPECT_EQ(numbers("1-4"), Numbers({1, 2, 3, 4}));
  EXPECT_EQ(numbers("128-512+128"), Numbers({128, 256, 384, 512}));
  EXPECT_EQ(numbers("10-25+10"), Numbers({10, 20}));
  EXPECT_EQ(numbers("1-64*4,7"), Numbers({1, 4, 16, 64, 7}));
  EXPECT_EQ(numbers("5-5"), Numbers({5}));
}

TEST(BenchList, WhatDoesNotParseIsRefusedAndQuoted) {
  for (const char* text :
       {"",        ",",        "1,",    ",1",    "x",    "-1",      "+1",  "1-",  "1-+2",
        "4-1",     "1-4+0",    "1-4*1", "0-8*2", "1-4+", "1-4+1+1", "1.5", "1 2", "99999999999999999999",
        "1048577", "1-1048577"}) {
    const Result<Numbers> parsed = parse_numbers(text, 0, 1 << 20);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::usage);
    EXPECT_NE(parsed.error().message.find("'" + std::string(text) + "'"), std::string::npos);
  }
  EXPECT_FALSE(parse_numbers("0", 1, 8));
}

TEST(BenchList, ALongListIsRefusedBeforeItIsMade) {
  EXPECT_EQ(parse_numbers("1-1024", 0, 1 << 20)->size(), kMaxListNumbers);
  EXPECT_FALSE(parse_numbers("1-1025", 0, 1 << 20));
  EXPECT_FALSE(parse_numbers("0-4294967295", 0, 4294967295));
  // A step at the end of the numbers' range does not begin again at 0.
  EXPECT_EQ(parse_numbers("4294967295-4294967295+1", 0, 4294967295)->size(), 1U);
}

TEST(BenchList, PromptAndAnswerAreTwoNumbers) {
  EXPECT_EQ(parse_prompt_and_answer("512,128", 1024).value(), (PromptAndAnswer{512, 128}));
  for (const char* text : {"", "512", "512,", ",1", "1,2,3", "1025,1", "-1,2"}) {
    EXPECT_FALSE(parse_prompt_and_answer(text, 1024)) << text;
  }
}

}  // namespace
}  // namespace headrace::cli
