#include "core/utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace headrace {
namespace {

using namespace std::string_literals;

// Sizes that the decoder consumes, one after the other; negative where it was not valid.
std::vector<int> consumed(std::string_view text) {
  std::vector<int> out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char next = decode_utf8(text, at);
    out.push_back(next.valid ? static_cast<int>(next.size) : -static_cast<int>(next.size));
    at += next.size;
  }
  return out;
}

TEST(Utf8, EveryCodePointComesBackAsItWasWritten) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const size_t expected_size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    const Utf8Char decoded = decode_utf8(text, 0);
    ASSERT_EQ(text.size(), expected_size) << code;
    ASSERT_TRUE(decoded.valid) << code;
    ASSERT_EQ(decoded.code_point, code);
    ASSERT_EQ(decoded.size, text.size());
  }
}

TEST(Utf8, KnownCharactersHaveTheirKnownBytes) {
  std::string text;
  for (const uint32_t code : {0x41u, 0xFCu, 0x20ACu, 0x1F600u}) append_utf8(text, code);
  EXPECT_EQ(text, "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(Utf8, WhatIsNoScalarValueIsWrittenAsReplacement) {
  for (const uint32_t code : {0xD800u, 0xDFFFu, 0x110000u, 0xFFFFFFFFu}) {
    std::string text;
    append_utf8(text, code);
    EXPECT_EQ(text, "\xef\xbf\xbd") << code;
  }
}

// The number of replacements is what the Unicode standard's table 3-8 to 3-11 show.
TEST(Utf8, InvalidSequencesConsumeTheirMaximalSubpart) {
  EXPECT_EQ(consumed("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            (std::vector{-1, -1, -1, -1, -1, -1, -1, -1, 1}));
  EXPECT_EQ(consumed("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            (std::vector{-1, -1, -1, -1, -1, -1, -1, -1, 1}));
  EXPECT_EQ(consumed("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            (std::vector{-1, -1, -1, -1, -1, 1, -1, -1, 1}));
  EXPECT_EQ(consumed("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), (std::vector{-2, -1, -3, -2, 1}));
  EXPECT_EQ(consumed("\xE2\x82"), (std::vector{-2}));
  EXPECT_EQ(consumed("\xF0\x9F\x98"), (std::vector{-3}));
  EXPECT_EQ(decode_utf8("\xFF", 0).code_point, 0xFFFDu);
}

TEST(Utf8, AcceptsExactlyTheSequencesThatEncodeAScalarValue) {
  // An independent decoder: assemble the bits, then ask whether the value needs that many bytes.
  const auto valid3 = [](unsigned a, unsigned b, unsigned c) {
    if ((a & 0xF0) != 0xE0 || (b & 0xC0) != 0x80 || (c & 0xC0) != 0x80) return false;
    const unsigned code = (a & 0x0F) << 12 | (b & 0x3F) << 6 | (c & 0x3F);
    return code >= 0x800 && (code < 0xD800 || code > 0xDFFF);
  };
  for (unsigned a = 0xE0; a < 0xF0; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      for (unsigned c = 0x70; c < 0xD0; c += 0x10) {
        const char bytes[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
        ASSERT_EQ(decode_utf8({bytes, 3}, 0).size == 3, valid3(a, b, c)) << a << ' ' << b << ' ' << c;
      }
    }
  }
  for (unsigned a = 0xF0; a < 0x100; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const char bytes[] = {static_cast<char>(a), static_cast<char>(b), '\x80', '\x80'};
      const unsigned code = (a & 0x07) << 18 | (b & 0x3F) << 12;
      const bool valid = a < 0xF8 && (b & 0xC0) == 0x80 && code >= 0x10000 && code <= 0x10FFFF;
      ASSERT_EQ(decode_utf8({bytes, 4}, 0).valid, valid) << a << ' ' << b;
    }
  }
}

TEST(Utf8, ReplacesWhatIsInvalidAndNothingElse) {
  EXPECT_EQ(to_valid_utf8("a\xff"
                          "b\xe2\x82"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
  EXPECT_EQ(to_valid_utf8("\0\xc3\xbc"s), "\0\xc3\xbc"s);
  EXPECT_EQ(to_valid_utf8(""), "");
  EXPECT_TRUE(is_valid_utf8("\xef\xbf\xbd"));  // a replacement character that was written as such
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_FALSE(is_valid_utf8("abc\x80"));
  EXPECT_FALSE(is_valid_utf8("\xc3"));
}

TEST(Utf8, ACompletePrefixLeavesOutOnlyWhatMoreBytesCouldComplete) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  EXPECT_EQ(complete_utf8_prefix("ab\xc3"), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xc3\xbc"), 4u);
  EXPECT_EQ(complete_utf8_prefix("a\xe2"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xe2\x82"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xe2\x82\xac"), 4u);
  EXPECT_EQ(complete_utf8_prefix("\xf0\x9f\x98"), 0u);
  EXPECT_EQ(complete_utf8_prefix("\xf0\x9f\x98\x80"), 4u);
  // These can't become characters, whatever follows.
  EXPECT_EQ(complete_utf8_prefix("a\xff"), 2u);
  EXPECT_EQ(complete_utf8_prefix("a\x80"), 2u);
  EXPECT_EQ(complete_utf8_prefix("a\xed\xa0"), 3u);
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4u);
}

TEST(Utf8, AStreamCutAnywhereGivesTheSameTextInPieces) {
  const std::string text = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z\xff\xe2\x82q";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const size_t prefix = complete_utf8_prefix(std::string_view(text).substr(0, cut));
    ASSERT_LE(cut - prefix, 3u);
    EXPECT_EQ(to_valid_utf8(text.substr(0, prefix)) + to_valid_utf8(text.substr(prefix)), to_valid_utf8(text))
        << cut;
  }
}

}  // namespace
}  // namespace headrace
