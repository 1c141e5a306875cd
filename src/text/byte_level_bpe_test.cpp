#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/testing/small_vocabulary.h"
#include "text/tokenizer.h"

namespace headrace {
namespace {

using testing::SmallVocabulary;
using Spellings = std::vector<std::string>;

Spellings encode(const SmallVocabulary& small, std::string_view text) {
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  Spellings spellings;
  for (const TokenId id : tokenizer.encode(text)) spellings.emplace_back(tokenizer.spelling(id));
  return spellings;
}

TEST(ByteLevelBpe, TheFirstMergeOfTheListGoesFirst) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add_merge("b", "c");
  small.add_merge("a", "b");
  EXPECT_EQ(encode(small, "abc"), (Spellings{"a", "bc"}));
  EXPECT_EQ(encode(small, "abab"), (Spellings{"ab", "ab"}));
}

TEST(ByteLevelBpe, OfEqualPairsTheLeftmostGoesFirst) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add_merge("a", "a");
  EXPECT_EQ(encode(small, "aaa"), (Spellings{"aa", "a"}));
  EXPECT_EQ(encode(small, "aaaaa"), (Spellings{"aa", "aa", "a"}));
}

TEST(ByteLevelBpe, MergesDoNotReachAcrossWords) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add_merge("b", "\xC4\xA0");  // "b" and a space
  EXPECT_EQ(encode(small, "b c"), (Spellings{"b", "\xC4\xA0", "c"}));
}

TEST(ByteLevelBpe, BytesOfACharacterAreTokensOfTheirOwn) {
  const SmallVocabulary small = SmallVocabulary::byte_level();
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  const std::string llama = "\xF0\x9F\xA6\x99";
  const std::vector<TokenId> ids = tokenizer.encode(llama);
  ASSERT_EQ(ids.size(), 4u);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(tokenizer.piece(ids[i]), llama.substr(i, 1));
  EXPECT_EQ(tokenizer.decode(ids), llama);
}

TEST(ByteLevelBpe, Llama3TakesAKnownWordWholeWhateverTheMergesSay) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add("abc");  // no merges lead there
  EXPECT_EQ(encode(small, "abc"), (Spellings{"a", "b", "c"}));
  small.spec.pre_tokenizer = "llama-bpe";
  EXPECT_EQ(encode(small, "abc"), (Spellings{"abc"}));
  EXPECT_EQ(encode(small, "abcd"), (Spellings{"a", "b", "c", "d"}));
}

TEST(ByteLevelBpe, BytesWithoutATokenAreDropped) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  for (std::string& token : small.spec.tokens) {
    if (token == "b") token = "unrelated";
  }
  small.add_merge("a", "c");
  EXPECT_EQ(encode(small, "abc"), (Spellings{"ac"}));
}

TEST(ByteLevelBpe, BrokenMergesAreRefusedByNumber) {
  for (const char* merge : {"ab", "a b c", "", " ", " a", "a ", "a b", "a zz", "zz a", "< s>"}) {
    SmallVocabulary small = SmallVocabulary::byte_level();
    small.add("<s>", TokenKind::control);
    small.add("s>");
    small.add_merge("x", "y");
    small.spec.merges.push_back(merge);
    const auto refused = Tokenizer::create(small.spec);
    ASSERT_FALSE(refused) << '"' << merge << '"';
    EXPECT_EQ(refused.error().code, Errc::bad_model);
    EXPECT_NE(refused.error().message.find("tokenizer.ggml.merges: entry 1"), std::string::npos)
        << refused.error().message;
  }
}

TEST(ByteLevelBpe, LongWordsTakeNoQuadraticTime) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  small.add_merge("a", "a");
  small.add_merge("aa", "aa");
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  const std::string text(size_t{1} << 20,
                         'a');  // one word; a million squared would run into the test's limit
  EXPECT_EQ(tokenizer.encode(text).size(), text.size() / 4);
}

}  // namespace
}  // namespace headrace
