#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include "text/testing/small_vocabulary.h"
#include "text/tokenizer.h"

namespace headrace {
namespace {

using testing::SmallVocabulary;
using Ids = std::vector<TokenId>;

constexpr TokenId kToken = 256;

Tokenizer with_rule(AddedTokenRule rule, TokenKind kind = TokenKind::user_defined) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  rule.id = small.add("<x>", kind);
  small.spec.added = {rule};
  return Tokenizer::create(small.spec).value();
}

std::string shown(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const TokenId id : ids) text += id == kToken ? "#" : std::string(tokenizer.piece(id));
  return text;
}

std::string encoded(const Tokenizer& tokenizer, std::string_view text) {
  return shown(tokenizer, tokenizer.encode(text));
}

TEST(AddedTokens, OfASingleWordTouchNoLetter) {
  const Tokenizer tokenizer = with_rule({.single_word = true});
  EXPECT_EQ(encoded(tokenizer, "<x> <x>,a<x> <x>a _<x> \xC3\xA9<x> 1<x>"),
            "# #,a<x> <x>a _<x> \xC3\xA9<x> 1<x>");
}

TEST(AddedTokens, TakeWhiteSpaceAlongIfTheyAreToldTo) {
  EXPECT_EQ(encoded(with_rule({.lstrip = true}), "a \n\xE3\x80\x80<x> b <x><x>"), "a# b##");
  EXPECT_EQ(encoded(with_rule({.rstrip = true}), "a <x> \t<x>\xC2\xA0 b <x>"), "a ##b #");
  EXPECT_EQ(encoded(with_rule({.lstrip = true, .rstrip = true}), " <x>  <x> "), "##");
  EXPECT_EQ(encoded(with_rule({}), " <x>  <x> "), " #  # ");
}

TEST(AddedTokens, AreOnlyThoseThatTheFileLists) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add("<x>", TokenKind::user_defined);
  small.spec.added.emplace();
  EXPECT_EQ(encoded(Tokenizer::create(small.spec).value(), "<x>"), "<x>");
}

TEST(AddedTokens, LookedForInNormalisedTextAreFoundHoweverTheyAreTyped) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  const TokenId id = small.add("e\xCC\x81", TokenKind::user_defined);
  small.spec.added = {{.id = id, .normalized = true}};
  small.spec.nfc = true;
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  EXPECT_EQ(encoded(tokenizer, "e\xCC\x81\xC3\xA9"), "##");
  EXPECT_EQ(tokenizer.decode(Ids{id}), "\xC3\xA9");
}

TEST(AddedTokens, NormalisationMakesNoControlTokenOfUntrustedText) {
  // The control token appears only in normalised text: U+037E becomes a semicolon.
  SmallVocabulary small = SmallVocabulary::byte_level();
  const TokenId id = small.add("<x;>", TokenKind::control);
  small.spec.nfc = true;
  for (const bool normalized : {false, true}) {
    small.spec.added = {{.id = id, .normalized = normalized}};
    const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
    for (const std::string text : {"<x\xCD\xBE>", "<x;>"}) {
      const Ids untrusted = tokenizer.encode(std::vector<TextPiece>{{text, false}}, false);
      EXPECT_EQ(shown(tokenizer, untrusted), "<x;>");
      const Ids mixed =
          tokenizer.encode(std::vector<TextPiece>{{text.substr(0, 2), true}, {text.substr(2), false}}, false);
      EXPECT_EQ(shown(tokenizer, mixed), "<x;>");
    }
    EXPECT_EQ(shown(tokenizer, tokenizer.encode("<x\xCD\xBE>")), normalized ? "#" : "<x;>");
    EXPECT_EQ(shown(tokenizer, tokenizer.encode("<x;>")), "#");
  }
}

TEST(AddedTokens, AMarkTypedBehindAControlTokenLeavesItAlone) {
  // ">" and U+0338 would compose, but the template's token is found first.
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add("<x>", TokenKind::control);
  small.spec.nfc = true;
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  const Ids ids = tokenizer.encode(std::vector<TextPiece>{{"<x>", true}, {"\xCC\xB8", false}}, false);
  EXPECT_EQ(shown(tokenizer, ids), "#\xCC\xB8");
}

TEST(AddedTokens, TooManyBytesOfThemAreRefused) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  const std::string filler(kMaxAddedTokenBytes - 8, 'x');
  for (size_t bytes = 0; bytes <= kMaxAddedTokensBytes; bytes += filler.size()) {
    small.add(fmt::format("{:08}{}", bytes, filler), TokenKind::user_defined);
  }
  const auto refused = Tokenizer::create(small.spec);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_budget);
}

}  // namespace
}  // namespace headrace
