// Exactness against planted faults: each must be found, by name where it has one, and none where none is.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "exactness/exactness.h"
#include "exactness/testing/toy_engine.h"

namespace headrace {
namespace {

using testing::ToyFault;

// `faults`: one a tier.
ExactnessReport check(const std::vector<ToyFault>& faults, const testing::ToyModelOptions& model_options = {},
                      uint32_t trials = 200) {
  ExactnessOptions options;
  options.trials = trials;
  for (size_t i = 0; i < faults.size(); ++i) options.tiers.push_back({fmt::format("tier {}", i), i == 2});
  Exactness exactness(std::move(options));
  for (size_t i = 0; i < faults.size(); ++i) {
    auto model = testing::toy_model(model_options);
    const EngineOptions engine_options = exactness.engine_options(*model);
    const auto engine = testing::toy_engine(std::move(model), engine_options, faults[i]);
    const Status ran = exactness.run(i, *engine);
    EXPECT_TRUE(ran) << ran.error().message;
  }
  return exactness.report();
}

std::string text_of(const ExactnessReport& report) {
  std::string text;
  for (const ExactnessDifference& d : report.differences)
    text += fmt::format("trial {} ({}): {}: {}\n", d.trial, d.configuration, d.kind, d.what);
  for (const std::string& missing : report.uncovered) text += missing + "\n";
  return text;
}

TEST(ExactnessFaults, WithoutAFaultNothingDiffersAndEverythingIsCovered) {
  for (const uint32_t window : {0U, 8U, 512U}) {
    const ExactnessReport report =
        check({ToyFault::none, ToyFault::none, ToyFault::none}, {.window = window});
    EXPECT_EQ(report.n_different, 0U) << window << "\n" << text_of(report);
    EXPECT_TRUE(report.uncovered.empty()) << window << "\n" << text_of(report);
    EXPECT_EQ(report.trials, 200U);
    EXPECT_EQ(report.pairs.size(), window == 0 ? 6U : 10U);
    EXPECT_EQ(report.remarks.size(), window == 0 ? 1U : 0U);
  }
}

TEST(ExactnessFaults, AThousandTrialsHaveEveryPairTwentyTimes) {
  const ExactnessReport report =
      check({ToyFault::none, ToyFault::none, ToyFault::none}, {.window = 512}, 1000);
  EXPECT_EQ(report.n_different, 0U) << text_of(report);
  EXPECT_EQ(report.pair_minimum, 20U);
  EXPECT_TRUE(report.uncovered.empty()) << text_of(report);
}

struct Planted {
  ToyFault fault;
  const char* name;
  const char* kind;
  std::optional<uint32_t> layer;  // where it is planted
  friend void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.name; }
};

class PlantedFaults : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedFaults, IsFoundAndNamed) {
  const Planted& planted = GetParam();
  const ExactnessReport report = check({planted.fault}, {.window = 100});
  ASSERT_GT(report.n_different, 0U);
  const auto found = std::ranges::find(report.differences, planted.kind, &ExactnessDifference::kind);
  ASSERT_TRUE(found != report.differences.end()) << text_of(report);
  // Not in every trial: of a row that came from the cache only what it did to later ones is seen.
  EXPECT_TRUE(std::ranges::find(report.differences, planted.layer, &ExactnessDifference::layer) !=
              report.differences.end())
      << text_of(report);
}

TEST_P(PlantedFaults, IsFoundIfItIsOnlyOnOneTier) {
  const ExactnessReport report = check({ToyFault::none, GetParam().fault}, {.window = 100}, 400);
  EXPECT_GT(report.n_different, 0U);
  for (const ExactnessDifference& difference : report.differences)
    EXPECT_NE(difference.configuration.find("tier 1"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Toy, PlantedFaults,
    ::testing::Values(Planted{ToyFault::rows_256, "Rows256", "layer", 2},
                      Planted{ToyFault::position_512, "Position512", "layer", 0},
                      Planted{ToyFault::reuse_by_one, "ReuseByOne", "layer", std::nullopt},
                      Planted{ToyFault::stale_page, "StalePage", "layer", 0},
                      Planted{ToyFault::draw_by_index, "DrawByIndex", "answer", std::nullopt},
                      Planted{ToyFault::batch_norm, "BatchNorm", "layer", 1},
                      Planted{ToyFault::order_of_two, "OrderOfTwo", "layer", 1},
                      Planted{ToyFault::other_type, "OtherType", "layer", 0},
                      Planted{ToyFault::preempted_token, "PreemptedToken", "layer", 0},
                      Planted{ToyFault::window_retires, "WindowRetires", "layer", 0},
                      Planted{ToyFault::lost_end, "LostEnd", "events", std::nullopt},
                      Planted{ToyFault::page_leak, "PageLeak", "books", std::nullopt}),
    [](const auto& tested) { return std::string(tested.param.name); });

// These are the same in every trial, so only the measurement of the window's edge can find them.
TEST(ExactnessFaults, AWindowThatIsOffByOneEverywhereIsFound) {
  for (const ToyFault fault : {ToyFault::window_wide, ToyFault::window_narrow}) {
    const ExactnessReport report = check({fault}, {.window = 100}, 40);
    ASSERT_EQ(report.n_different, 1U) << text_of(report);
    EXPECT_EQ(report.differences[0].kind, "window");
    EXPECT_NE(report.differences[0].what.find(fault == ToyFault::window_wide ? "101" : "99"),
              std::string::npos);
  }
}

TEST(ExactnessFaults, TheCheckStopsAfterManyDifferences) {
  const ExactnessReport report = check({ToyFault::order_of_two}, {}, 400);
  EXPECT_TRUE(report.stopped);
  EXPECT_EQ(report.differences.size(), kMaxDifferences);
  EXPECT_LT(report.trials, 400U);
}

TEST(ExactnessFaults, AModelWithASmallContextHasShorterProbesAndSaysSo) {
  const ExactnessReport report = check({ToyFault::none}, {.context_length = 256}, 40);
  EXPECT_EQ(report.n_different, 0U) << text_of(report);
  EXPECT_EQ(report.remarks.size(), 2U);
}

}  // namespace
}  // namespace headrace
