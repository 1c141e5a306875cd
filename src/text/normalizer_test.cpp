#include "text/normalizer.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

using Ranges = std::vector<TextRange>;

const std::string kAcute = "\xCC\x81";
const std::string kEAcute = "\xC3\xA9";

Normalizer nfc() {
  TokenizerSpec spec;
  spec.nfc = true;
  return Normalizer(spec);
}

TEST(Normalizer, TrustMovesWithTheText) {
  // "e" and its mark are one character afterwards, so the range moves by two bytes less.
  const NormalizedText out = nfc().apply("e" + kAcute + "<x>", Ranges{{3, 6}});
  EXPECT_EQ(out.text, kEAcute + "<x>");
  EXPECT_EQ(out.trusted, (Ranges{{2, 5}}));
}

TEST(Normalizer, WhatComposesAcrossAnEdgeIsUntrusted) {
  const NormalizedText out = nfc().apply("abe" + kAcute + "cd", Ranges{{0, 3}});
  EXPECT_EQ(out.text, "ab" + kEAcute + "cd");
  EXPECT_EQ(out.trusted, (Ranges{{0, 2}}));
  const NormalizedText other = nfc().apply("abe" + kAcute + "cd", Ranges{{3, 7}});
  EXPECT_EQ(other.text, "ab" + kEAcute + "cd");
  EXPECT_EQ(other.trusted, (Ranges{{4, 6}}));
}

TEST(Normalizer, RangesInsideOneCharacterAreUntrusted) {
  const std::string text = "e" + kAcute + "\xCC\x96" + kAcute + "x";
  const NormalizedText out = nfc().apply(text, Ranges{{1, 3}, {5, 7}});
  EXPECT_EQ(out.text, nfc().apply(text, {}).text);
  EXPECT_EQ(out.trusted, Ranges{});
}

TEST(Normalizer, TextIsNormalisedAsAWholeHoweverItIsTrusted) {
  const std::string text =
      "a" + kAcute + "e" + kAcute + kAcute + "o\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8" + kAcute + " n";
  const std::string whole = nfc().apply(text, {}).text;
  for (size_t begin = 0; begin <= text.size(); ++begin) {
    for (size_t end = begin + 1; end <= text.size(); ++end) {
      const auto at_edge = [&](size_t at) {
        return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
      };
      if (!at_edge(begin) || !at_edge(end)) continue;
      const NormalizedText out = nfc().apply(text, Ranges{{begin, end}});
      EXPECT_EQ(out.text, whole) << begin << " " << end;
      for (const TextRange range : out.trusted) EXPECT_LE(range.end, out.text.size());
    }
  }
}

TEST(Normalizer, MarksSpacesAndKeepsTheirTrust) {
  TokenizerSpec spec;
  spec.model = TokenizerModel::sentencepiece_bpe;
  spec.space_prefix = SpacePrefix::always;
  const NormalizedText out = Normalizer(spec).apply("a b", Ranges{{1, 3}});
  EXPECT_EQ(out.text,
            "\xE2\x96\x81"
            "a\xE2\x96\x81"
            "b");
  EXPECT_EQ(out.trusted, (Ranges{{4, 8}}));
}

}  // namespace
}  // namespace headrace
