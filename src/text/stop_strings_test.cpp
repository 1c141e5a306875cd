#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace headrace {
namespace {

StopMatcher matcher(const std::vector<std::string>& stops) {
  return StopMatcher::create(stops).value();
}

TEST(StopStrings, AStopStringMayStraddlePushes) {
  StopMatcher stop = matcher({"\nUser:"});
  EXPECT_EQ(stop.push("Hello\nUs"), "Hello");
  EXPECT_EQ(stop.push("er"), "");
  EXPECT_FALSE(stop.matched());
  EXPECT_EQ(stop.push(": ignored"), "");
  EXPECT_EQ(stop.matched(), 0u);
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, WhatCannotBecomeAStopStringAnyMoreIsReleased) {
  StopMatcher stop = matcher({"###"});
  EXPECT_EQ(stop.push("a##"), "a");
  EXPECT_EQ(stop.push("b"), "##b");
  EXPECT_EQ(stop.push("#"), "");
  EXPECT_EQ(stop.finish(), "#");
  EXPECT_FALSE(stop.matched());
}

TEST(StopStrings, AfterAMatchNothingComesAnyMore) {
  StopMatcher stop = matcher({"."});
  EXPECT_EQ(stop.push("one. two."), "one");
  EXPECT_EQ(stop.push("three"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, TheFirstToBeCompleteWins) {
  StopMatcher stop = matcher({"abc", "b"});
  EXPECT_EQ(stop.push("xabc"), "xa");
  EXPECT_EQ(stop.matched(), 1u);
}

TEST(StopStrings, OfThoseThatEndTogetherTheLongestWins) {
  StopMatcher stop = matcher({"b", "ab", "zab"});
  EXPECT_EQ(stop.push("xab"), "x");
  EXPECT_EQ(stop.matched(), 1u);
}

TEST(StopStrings, OfEqualStopStringsTheFirstIsReported) {
  StopMatcher stop = matcher({"end", "end"});
  EXPECT_EQ(stop.push("end"), "");
  EXPECT_EQ(stop.matched(), 0u);
}

TEST(StopStrings, WithoutStopStringsNothingIsHeldBack) {
  StopMatcher stop = matcher({});
  EXPECT_EQ(stop.push("anything"), "anything");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, EmptyInvalidAndHugeStopStringsAreRefused) {
  for (const std::vector<std::string>& stops :
       {std::vector<std::string>{"a", ""}, {"\x80"}, {std::string(kMaxStopBytes, 'a'), "b"}}) {
    const auto refused = StopMatcher::create(stops);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::usage);
  }
}

// The rule of the header, spelled out: the smallest end, then the longest string.
std::string cut_plainly(const std::string& text, const std::vector<std::string>& stops,
                        std::optional<size_t>& which) {
  for (size_t end = 1; end <= text.size(); ++end) {
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool ends_here = text.substr(0, end).ends_with(stops[i]);
      if (ends_here && (!which || stops[i].size() > stops[*which].size())) which = i;
    }
    if (which) return text.substr(0, end - stops[*which].size());
  }
  return text;
}

TEST(StopStrings, TheResultDependsNeitherOnTheCutsNorOnTheAlgorithm) {
  std::mt19937 random(3);
  const auto word = [&](size_t longest) {
    std::string text(1 + random() % longest, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  size_t matches = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops(1 + random() % 3);
    std::ranges::generate(stops, [&] { return word(5); });
    const std::string text = word(20);
    std::optional<size_t> expected;
    const std::string cut = cut_plainly(text, stops, expected);

    StopMatcher stop = matcher(stops);
    std::string emitted;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 4;
      emitted += stop.push(std::string_view(text).substr(at, n));
      at += n;
      ASSERT_TRUE(cut.starts_with(emitted)) << "text given out that belongs to a stop string";
    }
    emitted += stop.finish();
    ASSERT_EQ(emitted, cut);
    ASSERT_EQ(stop.matched(), expected);
    matches += expected ? 1 : 0;
  }
  EXPECT_GT(matches, 1000u);
}

TEST(StopStrings, HostileRepetitionsTakeLinearTime) {
  StopMatcher stop =
      matcher({std::string(kMaxStopBytes / 2, 'a') + "b", std::string(kMaxStopBytes / 4, 'a') + "c"});
  const std::string text(size_t{1} << 20, 'a');
  std::string emitted = stop.push(text);
  EXPECT_EQ(emitted.size(), text.size() - kMaxStopBytes / 2);
  EXPECT_EQ(emitted.size() + stop.finish().size(), text.size());
}

}  // namespace
}  // namespace headrace
