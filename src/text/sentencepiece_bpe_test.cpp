#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "text/testing/small_vocabulary.h"
#include "text/tokenizer.h"

namespace headrace {
namespace {

using testing::SmallVocabulary;
using Spellings = std::vector<std::string>;

const std::string kMark = "\xE2\x96\x81";

Spellings encode(const SmallVocabulary& small, std::string_view text, EncodeOptions options = {}) {
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  Spellings spellings;
  for (const TokenId id : tokenizer.encode(text, options)) spellings.emplace_back(tokenizer.spelling(id));
  return spellings;
}

SmallVocabulary letters(std::string_view alphabet) {
  SmallVocabulary small = SmallVocabulary::sentencepiece();
  small.add(kMark);
  for (const char c : alphabet) small.add(std::string(1, c));
  return small;
}

TEST(SentencePieceBpe, ThePairOfTheHighestScoreGoesFirst) {
  SmallVocabulary small = letters("abc");
  small.add("bc");
  small.add("ab");
  EXPECT_EQ(encode(small, "abc"), (Spellings{"a", "bc"}));
  std::swap(small.spec.scores[small.spec.scores.size() - 1], small.spec.scores[small.spec.scores.size() - 2]);
  EXPECT_EQ(encode(small, "abc"), (Spellings{"ab", "c"}));
}

TEST(SentencePieceBpe, OfEqualScoresTheLeftmostGoesFirst) {
  SmallVocabulary small = letters("abc");
  small.add("bc");
  small.add("ab");
  small.spec.scores.assign(small.spec.scores.size(), -1.0f);
  EXPECT_EQ(encode(small, "abc"), (Spellings{"ab", "c"}));
}

TEST(SentencePieceBpe, CharactersWithoutATokenBecomeTheirBytes) {
  EXPECT_EQ(encode(letters("a"), "a\xC3\xA9\n"), (Spellings{"a", "<0xC3>", "<0xA9>", "<0x0A>"}));
}

TEST(SentencePieceBpe, WithoutByteTokensARunOfUnknownCharactersIsOneUnknownToken) {
  SmallVocabulary small = letters("ab");
  for (size_t i = 0; i < small.spec.tokens.size(); ++i) {
    if (small.spec.kinds[i] != TokenKind::byte) continue;
    small.spec.kinds[i] = TokenKind::normal;
  }
  EXPECT_EQ(encode(small, "axyzbq"), (Spellings{"a", "<unk>", "b", "<unk>"}));
}

TEST(SentencePieceBpe, AnAddedTokenThatTakesHalfACharacterLeavesTheOtherHalfAsBytes) {
  SmallVocabulary small = letters("a");
  small.add("\xA9", TokenKind::user_defined);  // the second byte of U+00E9
  EXPECT_EQ(encode(small, "a\xC3\xA9"), (Spellings{"a", "<0xC3>", "\xA9"}));
}

TEST(SentencePieceBpe, ASpaceGoesInFrontOfTheTextAndAfterSpecialTokens) {
  SmallVocabulary small = letters("ab");
  small.add(kMark + "a");
  small.spec.space_prefix = SpacePrefix::always;
  small.spec.strips_leading_space = true;
  small.spec.add_bos = true;
  EXPECT_EQ(encode(small, "ab"), (Spellings{"<s>", kMark + "a", "b"}));
  EXPECT_EQ(encode(small, " ab"), (Spellings{"<s>", kMark, kMark + "a", "b"}));
  EXPECT_EQ(encode(small, "b</s>ab"), (Spellings{"<s>", kMark, "b", "</s>", kMark + "a", "b"}));
  EXPECT_EQ(encode(small, ""), (Spellings{"<s>"}));

  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab a")), "ab a");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" ab")), " ab");
}

TEST(SentencePieceBpe, UserDefinedRunsOfSpacesMergeBeforeAllElse) {
  SmallVocabulary small = letters("ab");
  small.add(kMark + "b");
  small.add("  ", TokenKind::user_defined);
  small.add("   ", TokenKind::user_defined);
  for (size_t i = small.spec.scores.size() - 2; i < small.spec.scores.size(); ++i)
    small.spec.scores[i] = -1e9f;
  EXPECT_EQ(encode(small, "a   b"), (Spellings{"a", kMark + kMark + kMark, "b"}));
  EXPECT_EQ(encode(small, "a b"), (Spellings{"a", kMark + "b"}));
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a   b  ")), "a   b  ");
}

TEST(SentencePieceBpe, TypedSpellingsOfByteTokensAreText) {
  const SmallVocabulary small = letters("<0x41>");
  EXPECT_EQ(encode(small, "<0x41>"), (Spellings{"<", "0", "x", "4", "1", ">"}));
}

TEST(SentencePieceBpe, MergesNeverMakeAControlToken) {
  SmallVocabulary small = letters("</s>");
  small.add("</");
  small.add("s>");
  small.spec.scores[2] = 100.0f;  // </s>
  EXPECT_EQ(encode(small, "</s>", {.special = false}), (Spellings{"</", "s>"}));
  EXPECT_EQ(encode(small, "</s>", {.special = true}), (Spellings{"</s>"}));
}

TEST(SentencePieceBpe, ScoresThatCannotRankAreRefused) {
  SmallVocabulary small = letters("ab");
  small.spec.scores.pop_back();
  auto refused = Tokenizer::create(small.spec);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_model);
  EXPECT_NE(refused.error().message.find("tokenizer.ggml.scores"), std::string::npos);

  small.spec.scores.push_back(std::numeric_limits<float>::quiet_NaN());
  refused = Tokenizer::create(small.spec);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("tokenizer.ggml.scores"), std::string::npos);
}

TEST(SentencePieceBpe, LongTextsTakeNoQuadraticTime) {
  SmallVocabulary small = letters("a");
  small.add("aa");
  small.add("aaaa");
  small.add(kMark + kMark);
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  constexpr size_t kBytes = size_t{1} << 20;
  EXPECT_EQ(tokenizer.encode(std::string(kBytes, 'a')).size(), kBytes / 4);
  EXPECT_EQ(tokenizer.encode(std::string(kBytes, ' ')).size(), kBytes / 2);
}

}  // namespace
}  // namespace headrace
