#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

TEST(Doctor, ShowsTheMachineAndTheChoice) {
  const Outcome outcome = headrace({"doctor", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["tiers"]["portable"], "available");
  EXPECT_EQ(json["tiers"][json["tier"].get<std::string>()], "available");
  EXPECT_GE(json["threads"].get<int>(), 1);
  EXPECT_GT(json["memory_available"].get<uint64_t>(), 0U);
  EXPECT_EQ(json["models"]["smollm2:135m"], "not downloaded");
  EXPECT_TRUE(json["cache"].get<std::string>().starts_with(test_folder().string()));
  const Outcome text = headrace({"doctor"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.out.find("exact"), std::string::npos);
}

TEST(Doctor, AForcedTierIsTakenOrIsAnError) {
  const Json json = Json::parse(headrace({"doctor", "--json"}).out);
  for (const auto& [tier, state] : json["tiers"].items()) {
    const Outcome outcome = headrace({"doctor", "--json"}, {.environment = {{"HEADRACE_CPU", tier}}});
    if (state == "available") {
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(Json::parse(outcome.out)["tier"], tier);
    } else {
      EXPECT_EQ(outcome.exit_code, 2);
      EXPECT_NE(outcome.err.find("HEADRACE_CPU=" + tier), std::string::npos) << outcome.err;
    }
  }
  const Outcome unknown =
      headrace({"run", "-m", llama_file(), "-p", "x"}, {.environment = {{"HEADRACE_CPU", "abacus"}}});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("abacus"), std::string::npos) << unknown.err;
}

TEST(Doctor, HidesThePasswordOfThePackageIndex) {
  const Outcome outcome =
      headrace({"doctor"}, {.environment = {{"PIP_INDEX_URL", "https://me:secret@example.org/simple"}}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("example.org"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("secret"), std::string::npos);
}

TEST(Pull, ListsWhatThereIsAndRefusesTheRest) {
  const Outcome list = headrace({"pull", "--list"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_NE(list.out.find("smollm2:135m"), std::string::npos);
  EXPECT_NE(list.out.find("Apache-2.0"), std::string::npos);
  EXPECT_EQ(headrace({"pull"}).exit_code, 2);
  const Outcome unknown = headrace({"pull", "gpt-9"});
  EXPECT_EQ(unknown.exit_code, 5);
  EXPECT_NE(unknown.err.find("smollm2:135m"), std::string::npos) << unknown.err;
}

TEST(Pull, AnIndexThatCannotBeReachedIsANetworkError) {
  // Port 9 of this machine: nobody listens there.
  const Outcome outcome = headrace({"pull", "smollm2:135m", "--quiet"},
                                   {.environment = {{"PIP_INDEX_URL", "http://127.0.0.1:9/simple"}}});
  EXPECT_EQ(outcome.exit_code, 6) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
}  // namespace headrace::testing
