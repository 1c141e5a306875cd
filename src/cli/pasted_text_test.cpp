#include "cli/pasted_text.h"

#include <gtest/gtest.h>

namespace headrace::cli {
namespace {

TEST(PastedText, NewlinesAreUnifiedAndControlCharactersLeftOut) {
  EXPECT_EQ(clean_paste("a\rb\r\nc\nd"), "a\nb\nc\nd");
  EXPECT_EQ(clean_paste(std::string_view("a\0\x1b[31mb\tc\x7f", 11)), "a[31mb\tc");
  EXPECT_EQ(clean_paste("a\n\r\n\r"), "a");
  EXPECT_EQ(clean_paste("\r\n"), "");
  EXPECT_EQ(clean_paste("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
}

TEST(PastedText, AShortBlockIsShownAndALongOneIsLabelled) {
  Pastes pastes;
  EXPECT_EQ(pastes.take("two\nlines"), "two\nlines");
  EXPECT_EQ(pastes.take(std::string(1000, 'x')), std::string(1000, 'x'));
  EXPECT_EQ(pastes.take(std::string(1001, 'x')), "[paste 1: 1,001 bytes]");
  EXPECT_EQ(pastes.take(std::string(10, '\n')), "[paste 2: 11 lines]");
}

TEST(PastedText, EveryLabelThatStillStandsIsReplaced) {
  Pastes pastes;
  const std::string first = pastes.take(std::string(2000, 'a'));
  const std::string second = pastes.take(std::string(3000, 'b'));
  EXPECT_EQ(pastes.expand("x " + second + first + " y"),
            "x " + std::string(3000, 'b') + std::string(2000, 'a') + " y");
  EXPECT_EQ(pastes.expand("x " + first.substr(1)), "x " + first.substr(1));
  pastes.clear();
  EXPECT_EQ(pastes.expand(first), first);
}

TEST(PastedText, ALabelInsideAPasteIsText) {
  Pastes pastes;
  const std::string label = pastes.take("[paste 2: 1,001 bytes]" + std::string(1000, 'a'));
  EXPECT_EQ(pastes.expand(label + pastes.take(std::string(1001, 'b'))),
            "[paste 2: 1,001 bytes]" + std::string(1000, 'a') + std::string(1001, 'b'));
}

}  // namespace
}  // namespace headrace::cli
