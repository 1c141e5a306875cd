// headrace verify on tiny models. That it finds differences is shown in exactness_test.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"
#include "sanitized.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

std::string some_text() {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "there is a thing in line " + std::to_string(i * i) + ".\n";
  return text;
}

Json verify(const std::string& model, std::vector<std::string> extra, int exit_code = 0) {
  std::vector<std::string> arguments = {"verify", "-m", model, "--json", "--quiet"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  const Outcome outcome = headrace(arguments);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

TEST(Verify, TinyModelsOfBothFamiliesPassAndEverythingIsCovered) {
  for (const std::string& model : {llama_file(), gemma3_file()}) {
    const Json json =
        verify(model, {"--trials", std::to_string(kExactnessTrials), "-f", file_with("text", some_text())});
    EXPECT_EQ(json["trials"], kExactnessTrials);
    EXPECT_EQ(json["different"], 0);
    EXPECT_EQ(json["differences"], Json::array());
    EXPECT_EQ(json["uncovered"], Json::array());
    EXPECT_GT(json["hidden_states_compared"], kExactnessTrials * 50);
    EXPECT_EQ(json["histograms"].size(), 8U);
    const bool windowed = model == gemma3_file();
    EXPECT_EQ(json["pairs"].size(), windowed ? 10U : 6U);
    EXPECT_EQ(json["remarks"].size(), windowed ? 0U : 1U);
    for (const Json& pair : json["pairs"]) EXPECT_GE(pair["trials"], json["pair_minimum"]) << pair;
  }
}

TEST(Verify, TheDigestIsOfTheAnswersAndNotOfTheTiers) {
  const Json doctor = Json::parse(headrace({"doctor", "--json"}).out);
  std::string digest;
  for (const auto& [tier, state] : doctor["tiers"].items()) {
    if (state != "available") continue;
    const Json json = verify(llama_file(), {"--trials", "3", "--tiers", tier}, 1);
    EXPECT_EQ(json["different"], 0);
    EXPECT_EQ(json["histograms"]["kernels"], Json({{tier, 3}}));
    if (digest.empty()) digest = json["digest"];
    EXPECT_EQ(json["digest"], digest) << tier;
  }
  EXPECT_NE(verify(llama_file(), {"--trials", "3", "--seed", "2"}, 1)["digest"], digest);
  EXPECT_NE(verify(llama_file(), {"--trials", "3", "-ctk", "bf16"}, 1)["digest"], digest);
}

// Level machine promises one tier its bits; where a tier has no bf16 products they are those of exact.
TEST(Verify, LevelMachineHoldsOnATierAndIsNotComparedBetweenTiers) {
  const std::string model = (test_folder() / "bf16.gguf").string();
  ASSERT_TRUE(static_cast<bool>(tiny_llama({.type = DType::BF16}).write(model)));
  const Json doctor = Json::parse(headrace({"doctor", "--json"}).out);
  const Json json = verify(model, {"--trials", "40", "--numerics", "machine"}, 0);
  EXPECT_EQ(json["different"], 0);
  EXPECT_EQ(json["histograms"]["kernels"], Json({{doctor["tier"].get<std::string>(), 40}}));
  const Json portable = verify(model, {"--trials", "3", "--numerics", "machine", "--tiers", "portable"}, 1);
  const Json exact = verify(model, {"--trials", "3", "--tiers", "portable"}, 1);
  EXPECT_EQ(portable["digest"], exact["digest"]);
  if (doctor["tiers"]["avx2"] != "available") return;
  const Outcome two = headrace({"verify", "-m", model, "--numerics", "machine", "--tiers", "portable,avx2"});
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_TRUE(contains(two.err, "level machine promises the same bits of one tier")) << two.err;
}

TEST(Verify, TooFewTrialsFailAndSayWhatIsMissing) {
  const Outcome outcome = headrace({"verify", "-m", llama_file(), "--trials", "2"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(contains(outcome.out, "NOT COVERED")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "digest of the answers: ")) << outcome.out;
  EXPECT_TRUE(contains(outcome.err, "no trial differs")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "--trials")) << outcome.err;
}

TEST(Verify, ATrialRunsAloneAndIsTheSame) {
  const Outcome once = headrace({"verify", "-m", gemma3_file(), "--trial", "7"});
  EXPECT_EQ(once.exit_code, 0) << once.err;
  EXPECT_TRUE(contains(once.out, "1 trial of 1 probe")) << once.out;
  EXPECT_TRUE(contains(once.out, "none different")) << once.out;
  const Outcome again = headrace({"verify", "-m", gemma3_file(), "--trial", "7", "--trials", "1000"});
  EXPECT_EQ(once.out, again.out);
}

TEST(Verify, UnknownFlagsTiersAndEmptyTextsAreRefused) {
  EXPECT_EQ(headrace({"verify", "-m", llama_file(), "--threads", "1"}).exit_code, 2);
  EXPECT_EQ(headrace({"verify", "-m", llama_file(), "--trials", "0"}).exit_code, 2);
  const Outcome tier = headrace({"verify", "-m", llama_file(), "--tiers", "portable,mmx"});
  EXPECT_EQ(tier.exit_code, 2);
  EXPECT_TRUE(contains(tier.err, "mmx")) << tier.err;
  const Outcome empty = headrace({"verify", "-m", llama_file(), "-f", file_with("empty", "")});
  EXPECT_EQ(empty.exit_code, 2) << empty.err;
  EXPECT_EQ(headrace({"verify", "-m", "/nowhere.gguf"}).exit_code, 5);
}

TEST(Verify, CtrlCEndsIt) {
  const auto started = [](const std::string&, const std::string& err) { return contains(err, "verifying"); };
  const Outcome outcome =
      headrace({"verify", "-m", llama_file(), "--trials", "100000"}, {.interrupt_when = started});
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
