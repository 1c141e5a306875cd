#include "text/nfc.h"

#include <gtest/gtest.h>

#include "core/utf8.h"

namespace headrace {
namespace {

std::string utf8(std::initializer_list<uint32_t> code_points) {
  std::string text;
  for (const uint32_t code : code_points) append_utf8(text, code);
  return text;
}

struct Case {
  std::initializer_list<uint32_t> text;
  std::initializer_list<uint32_t> normal;
};

TEST(Nfc, ComposesAsUnicodeSays) {
  const Case cases[] = {
      {{'e', 0x301}, {0xE9}},
      {{0xE9}, {0xE9}},
      {{'q', 0x307, 0x323}, {'q', 0x323, 0x307}},  // marks in the order of their classes
      {{'a', 0x323, 0x302}, {0x1EAD}},             // through a chain
      {{0x1E69}, {0x1E69}},
      {{0x212B}, {0xC5}},                    // a singleton
      {{0xFA0C}, {0x5140}},                  // a compatibility ideograph with a canonical form
      {{0x1100, 0x1161, 0x11A8}, {0xAC01}},  // Hangul
      {{0xAC00, 0x11A8}, {0xAC01}},
      {{0x915, 0x93C}, {0x915, 0x93C}},  // excluded from composition
      {{0x958}, {0x915, 0x93C}},
      {{0x9C7, 0x9BE}, {0x9CB}},  // a vowel sign that composes
      {{0xFB01}, {0xFB01}},       // compatibility forms stay
      {{'a', 0x300, 0x300}, {0xE0, 0x300}},
      {{'a', 0x34F, 0x301}, {'a', 0x34F, 0x301}},  // a joiner blocks
      {{'\r', '\n', 0, 0xFFFD, 0x10FFFF}, {'\r', '\n', 0, 0xFFFD, 0x10FFFF}},
      {{}, {}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(to_nfc(utf8(c.text)), utf8(c.normal));
    EXPECT_EQ(to_nfc(utf8(c.normal)), utf8(c.normal));
  }
}

TEST(Nfc, NothingButMarksTakesNoQuadraticTime) {
  std::string text = "a";
  std::string ordered = "a";
  constexpr size_t kPairs = 200'000;
  for (size_t i = 0; i < kPairs; ++i) text += utf8({0x302, 0x316});
  for (size_t i = 0; i < kPairs; ++i) ordered += utf8({0x316});
  for (size_t i = 0; i < kPairs; ++i) ordered += utf8({0x302});
  const std::string normal = to_nfc(text);
  EXPECT_EQ(normal, utf8({0xE2}) + ordered.substr(1, ordered.size() - 3));
}

TEST(Nfc, TextMayBeCutWhereNothingJoinsWhatComesBefore) {
  for (const uint32_t joins : {0x301U, 0x323U, 0x9BEU, 0x1161U, 0x11A8U, 0x93CU, 0x102EU, 0x1D165U}) {
    EXPECT_TRUE(joins_what_comes_before(joins)) << joins;
  }
  for (const uint32_t begins : {0x41U, 0xE9U, 0x4E00U, 0x1100U, 0xAC00U, 0x1F600U, 0x200DU, 0xFFFDU}) {
    EXPECT_FALSE(joins_what_comes_before(begins)) << begins;
  }
  // Every character, put behind some that like to compose.
  for (uint32_t code = 1; code < 0x30000; ++code) {
    if ((code >= 0xD800 && code < 0xE000) || joins_what_comes_before(code)) continue;
    const std::string character = utf8({code});
    for (const uint32_t before : {'e' + 0U, 0x1100U, 0xAC00U, 0x9C7U, 0x316U}) {
      const std::string front = utf8({before});
      ASSERT_EQ(to_nfc(front + character), to_nfc(front) + to_nfc(character)) << before << " " << code;
    }
  }
}

}  // namespace
}  // namespace headrace
