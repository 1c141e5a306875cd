#include "core/result.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace headrace {
namespace {

Result<int> half_of(int value) {
  if (value % 2 != 0) return make_error(Errc::usage, "{} is odd", value);
  return value / 2;
}

Result<int> quarter_of(int value) {
  HEADRACE_TRY(const int half, half_of(value));
  HEADRACE_TRY(const int quarter, half_of(half));
  return quarter;
}

Status check_quarter(int value, bool& reached_end) {
  HEADRACE_RETURN_IF_ERROR(quarter_of(value));
  reached_end = true;
  return {};
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = half_of(8);
  ASSERT_TRUE(good);
  EXPECT_EQ(good.value(), 4);
  EXPECT_EQ(*good, 4);
  const Result<int> bad = half_of(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::usage);
  EXPECT_EQ(bad.error().message, "7 is odd");
}

TEST(Result, AResultOfStringIsNotConfusedByItsErrorsMessage) {
  EXPECT_TRUE(Result<std::string>(std::string("text")));
  EXPECT_FALSE(Result<std::string>(make_error(Errc::io, "text")));
}

Result<std::unique_ptr<int>> boxed_half_of(int value) {
  HEADRACE_TRY(const int half, half_of(value));
  return std::make_unique<int>(half);
}

TEST(Result, MovesValuesThatCannotBeCopied) {
  const std::unique_ptr<int> taken = boxed_half_of(10).value();
  EXPECT_EQ(*taken, 5);
  EXPECT_FALSE(boxed_half_of(11));
}

TEST(Result, TryPassesOnTheFirstErrorAndOtherwiseTheValue) {
  EXPECT_EQ(*quarter_of(12), 3);
  EXPECT_EQ(quarter_of(5).error().message, "5 is odd");
  EXPECT_EQ(quarter_of(6).error().message, "3 is odd");
}

TEST(Result, ReturnIfErrorStopsAtAnErrorOnly) {
  bool reached_end = false;
  const Status bad = check_quarter(6, reached_end);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "3 is odd");
  EXPECT_FALSE(reached_end);
  EXPECT_TRUE(check_quarter(12, reached_end));
  EXPECT_TRUE(reached_end);
}

TEST(Result, ContextStandsInFrontOfTheMessageAndKeepsTheCode) {
  const Error error = make_error(Errc::bad_model, "tensor x is missing").in("layer 3").in("model.gguf");
  EXPECT_EQ(error.message, "model.gguf: layer 3: tensor x is missing");
  EXPECT_EQ(error.code, Errc::bad_model);
}

TEST(Result, EachCodeHasANameOfItsOwn) {
  const Errc codes[] = {Errc::usage,       Errc::not_found,     Errc::io,      Errc::bad_model,
                        Errc::unsupported, Errc::out_of_budget, Errc::network, Errc::cancelled};
  std::vector<std::string_view> names;
  for (const Errc code : codes) names.push_back(name_of(code));
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::unique(names).begin(), names.end());
  EXPECT_EQ(name_of(Errc::bad_model), "bad model");
}

TEST(ResultDeathTest, TakingTheValueOfAnErrorAbortsWithItsMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(static_cast<void>(half_of(7).value()), "7 is odd");
  EXPECT_DEATH(HEADRACE_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace headrace
