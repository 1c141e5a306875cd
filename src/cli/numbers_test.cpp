#include "cli/numbers.h"

#include <limits>

#include <gtest/gtest.h>

namespace headrace::cli {
namespace {

TEST(Numbers, AreWholeWordsInRange) {
  EXPECT_EQ(parse_number<uint32_t>("42"), 42U);
  EXPECT_EQ(parse_number<int32_t>("+7"), 7);
  EXPECT_EQ(parse_number<float>("1e-3"), 1e-3F);
  for (const char* wrong : {"", "+", "+-1", "1x", " 1", "1 ", "0x10", "4294967296", "-1", "1.5"}) {
    EXPECT_EQ(parse_number<uint32_t>(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(parse_number<float>("1e39"), std::nullopt);
}

TEST(Numbers, BytesHaveSuffixes) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("512M"), 512U << 20);
  EXPECT_EQ(parse_bytes("1.5GiB"), uint64_t{3} << 29);
  EXPECT_EQ(parse_bytes("2k"), 2048U);
  EXPECT_EQ(parse_bytes("10B"), 10U);
  for (const char* wrong : {"", "B", "M", "-1", "nan", "inf", "1X", "9999999999T", "1e300"}) {
    EXPECT_EQ(parse_bytes(wrong), std::nullopt) << wrong;
  }
}

TEST(Numbers, LogitBiasIsATokenAndASignedNumber) {
  EXPECT_EQ(parse_logit_bias("15043+1"), std::pair(15043, 1.0F));
  EXPECT_EQ(parse_logit_bias("0-0.5"), std::pair(0, -0.5F));
  EXPECT_EQ(parse_logit_bias("3-inf"), std::pair(3, -std::numeric_limits<float>::infinity()));
  for (const char* wrong : {"", "3", "+1", "-3+1", "3+inf", "3+nan", "3+", "x+1", "3=1"}) {
    EXPECT_EQ(parse_logit_bias(wrong), std::nullopt) << wrong;
  }
}

TEST(Numbers, EscapesMeanWhatTheyMeanInLlamaCpp) {
  EXPECT_EQ(unescape(R"(a\nb\tc\rd)"), "a\nb\tc\rd");
  EXPECT_EQ(unescape(R"(\\n \' \")"), "\\n ' \"");
  EXPECT_EQ(unescape(R"(\x41\x4\xZZ)"), R"(A\x4\xZZ)");
  EXPECT_EQ(unescape(R"(\q\)"), R"(\q\)");
}

}  // namespace
}  // namespace headrace::cli
