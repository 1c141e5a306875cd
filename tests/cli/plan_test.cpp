// headrace plan: what runs take is known before, and kept to.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

Json plan_of(std::vector<std::string> flags) {
  std::vector<std::string> arguments = {"plan", "-m", llama_file(), "--json"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const Outcome outcome = headrace(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

uint64_t bytes_of(const Json& plan, const char* part) {
  return plan["bytes"][part].get<uint64_t>();
}

TEST(Plan, ItsPartsAreTheWhole) {
  const Json plan = plan_of({"-c", "128", "-np", "3"});
  uint64_t sum = 0;
  for (const auto& [name, bytes] : plan["bytes"].items()) sum += bytes.get<uint64_t>();
  EXPECT_EQ(sum, plan["total_bytes"].get<uint64_t>());
  EXPECT_EQ(plan["context"], 128);
  EXPECT_EQ(plan["sequences"], 3);
  EXPECT_GT(bytes_of(plan, "program"), 0U);
  EXPECT_EQ(bytes_of(plan, "drafts"), 0U);
}

TEST(Plan, MoreTakesMore) {
  const Json small = plan_of({"-c", "128"});
  EXPECT_GT(bytes_of(plan_of({"-c", "512"}), "KV cache"), bytes_of(small, "KV cache"));
  EXPECT_GT(bytes_of(plan_of({"-c", "128", "-np", "4"}), "KV cache"), bytes_of(small, "KV cache"));
  EXPECT_EQ(bytes_of(plan_of({"-c", "128", "-ctk", "f32", "-ctv", "f32"}), "KV cache"),
            2 * bytes_of(small, "KV cache"));
  EXPECT_LT(bytes_of(plan_of({"-c", "128", "-b", "16"}), "activations"), bytes_of(small, "activations"));
  EXPECT_GT(bytes_of(plan_of({"-c", "128", "-md", llama_file()}), "drafts"), bytes_of(small, "weights"));
  const Json chain = plan_of({"-c", "128", "--spec-type", "ngram", "--draft-max", "63"});
  const Json tree =
      plan_of({"-c", "128", "--spec-type", "ngram", "--draft-max", "63", "--draft-branches", "8"});
  EXPECT_GT(tree["total_bytes"].get<uint64_t>(), chain["total_bytes"].get<uint64_t>());
  EXPECT_EQ(tree["draft_branches"], 8);
}

TEST(Plan, ARunKeepsToItAndIsRefusedBelow) {
  const std::vector<std::string> run = {"run", "-m", llama_file(), "-c",     "128", "-p",
                                        "a b", "-n", "4",          "--temp", "0"};
  const uint64_t total = plan_of({"-c", "128"})["total_bytes"];
  // The program's own part is counted in whole MiB.
  constexpr uint64_t kUnit = uint64_t{1} << 20;
  std::vector<std::string> enough = run;
  enough.insert(enough.end(), {"--memory", std::to_string(total + kUnit)});
  EXPECT_EQ(headrace(enough).exit_code, 0);
  std::vector<std::string> less = run;
  less.insert(less.end(), {"--memory", std::to_string(total - 2 * kUnit)});
  const Outcome refused = headrace(less);
  EXPECT_NE(refused.exit_code, 0);
  for (const char* said : {"bytes needed", "bytes free", "would help"})
    EXPECT_NE(refused.err.find(said), std::string::npos) << refused.err;
}

TEST(Plan, ABudgetThatIsTooSmallIsRefusedWithWhatItTakes) {
  const Outcome outcome = headrace({"plan", "-m", llama_file(), "--memory", "1M"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("the budget is 1048576"), std::string::npos) << outcome.err;
}

TEST(Plan, AnAutomaticContextLeavesRoomForADraftModel) {
  const uint64_t small = plan_of({"-c", "64", "-np", "4", "-md", llama_file()})["total_bytes"];
  const std::string budget = std::to_string(small + (uint64_t{4} << 20));
  const Json plan = plan_of({"-np", "4", "-md", llama_file(), "--memory", budget});
  EXPECT_GE(plan["context"], 64);
  EXPECT_LT(plan["context"], 32768);
  EXPECT_LE(plan["total_bytes"].get<uint64_t>(), small + (uint64_t{4} << 20));
  EXPECT_GT(plan["fits"]["draft_tokens_at_this_context"], 0);
}

TEST(Plan, WhatFitsFits) {
  const uint64_t total = plan_of({"-c", "64"})["total_bytes"];
  const std::string budget = std::to_string(total + (uint64_t{4} << 20));
  const Json plan = plan_of({"-c", "64", "--memory", budget});
  const uint64_t sequences = plan["fits"]["sequences_at_this_context"];
  EXPECT_GT(sequences, 1U);
  const Json of_many = plan_of({"-c", "64", "--memory", budget, "-np", std::to_string(sequences)});
  EXPECT_LE(of_many["total_bytes"].get<uint64_t>(), total + (uint64_t{4} << 20));
  const uint64_t context = plan["fits"]["context_of_one_sequence"];
  EXPECT_GT(context, 64U);
  EXPECT_EQ(plan_of({"-c", std::to_string(context), "--memory", budget})["context"].get<uint64_t>(), context);
}

}  // namespace
}  // namespace headrace::testing
