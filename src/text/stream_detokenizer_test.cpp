#include "text/stream_detokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "core/utf8.h"
#include "text/testing/small_vocabulary.h"

namespace headrace {
namespace {

using testing::SmallVocabulary;

Tokenizer sentencepiece(bool add_space_prefix) {
  SmallVocabulary small = SmallVocabulary::sentencepiece();
  small.add("\xE2\x96\x81hi");
  small.add("\xE2\x96\x81");
  small.spec.space_prefix = add_space_prefix ? SpacePrefix::always : SpacePrefix::none;
  small.spec.strips_leading_space = add_space_prefix;
  return Tokenizer::create(small.spec).value();
}

TEST(StreamDetokenizer, AnEmojiComesOutWithItsLastByte) {
  const Tokenizer tokenizer = sentencepiece(false);
  StreamDetokenizer stream(tokenizer);
  EXPECT_EQ(stream.push(*tokenizer.find("<0xF0>")), "");
  EXPECT_EQ(stream.push(*tokenizer.find("<0x9F>")), "");
  EXPECT_EQ(stream.push(*tokenizer.find("<0xA6>")), "");
  EXPECT_EQ(stream.push(*tokenizer.find("<0x99>")), "\xF0\x9F\xA6\x99");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDetokenizer, InvalidBytesBecomeReplacementsOnlyWhenThatIsCertain) {
  const Tokenizer tokenizer = sentencepiece(false);
  StreamDetokenizer stream(tokenizer);
  EXPECT_EQ(stream.push(*tokenizer.find("<0xF0>")), "");
  EXPECT_EQ(stream.push(*tokenizer.find("<0x41>")),
            "\xEF\xBF\xBD"
            "A");
  EXPECT_EQ(stream.push(*tokenizer.find("<0xFF>")), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push(*tokenizer.find("<0xE2>")), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDetokenizer, TheSpaceThatEncodingAddsIsDroppedOnceAndOnlyAtTheStartOfASequence) {
  const Tokenizer tokenizer = sentencepiece(true);
  const TokenId hi = *tokenizer.find("\xE2\x96\x81hi");
  StreamDetokenizer fresh(tokenizer, {.at_sequence_start = true});
  EXPECT_EQ(fresh.push(*tokenizer.bos()), "");
  EXPECT_EQ(fresh.push(hi), "hi");
  EXPECT_EQ(fresh.push(hi), " hi");
  StreamDetokenizer continued(tokenizer);
  EXPECT_EQ(continued.push(hi), " hi");
  StreamDetokenizer unprefixed(sentencepiece(false), {.at_sequence_start = true});
  EXPECT_EQ(unprefixed.push(hi), " hi");
}

TEST(StreamDetokenizer, SpecialTokensAreLeftOutUnlessAskedFor) {
  const Tokenizer tokenizer = sentencepiece(false);
  EXPECT_EQ(StreamDetokenizer(tokenizer).push(*tokenizer.eos()), "");
  EXPECT_EQ(StreamDetokenizer(tokenizer, {.skip_special = false}).push(*tokenizer.eos()), "</s>");
}

TEST(StreamDetokenizer, TokensThatDoNotExistAreNoText) {
  StreamDetokenizer stream(sentencepiece(false));
  EXPECT_EQ(stream.push(-1), "");
  EXPECT_EQ(stream.push(1 << 30), "");
}

TEST(StreamDetokenizer, PiecesOfRandomTokensTogetherAreTheDecodedText) {
  std::mt19937 random(5);
  const Tokenizer tokenizer = sentencepiece(true);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids(random() % 12);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % tokenizer.vocab_size());
    StreamDetokenizer stream(tokenizer, {.at_sequence_start = true});
    std::string text;
    for (const TokenId id : ids) {
      const std::string part = stream.push(id);
      ASSERT_TRUE(is_valid_utf8(part));
      text += part;
    }
    text += stream.finish();
    ASSERT_EQ(text, tokenizer.decode(ids));
  }
}

}  // namespace
}  // namespace headrace
