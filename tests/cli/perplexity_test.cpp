#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

std::string some_text() {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "the thing in there is number " + std::to_string(i) + ".\n";
  return text;
}

Json perplexity(const std::string& model, std::vector<std::string> extra,
                const Surroundings& surroundings = {}) {
  std::vector<std::string> arguments = {"perplexity", "-m", model, "-f", file_with("text", some_text()),
                                        "--json"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  const Outcome outcome = headrace(arguments, surroundings);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

size_t count_tokens(const std::string& model) {
  const Outcome outcome =
      headrace({"tokenize", "-m", model, "-f", file_with("text", some_text()), "--no-special", "--json"});
  return Json::parse(outcome.out)["ids"].size();
}

TEST(Perplexity, ScoresTheSecondHalfOfEveryWholeBlock) {
  for (const std::string& model : {llama_file(), gemma3_file()}) {
    const size_t blocks = count_tokens(model) / 64;
    ASSERT_GE(blocks, 3U);
    const Json json = perplexity(model, {"-c", "64"});
    EXPECT_EQ(json["blocks"], blocks);
    EXPECT_EQ(json["tokens"], blocks * 31);
    EXPECT_GT(json["perplexity"].get<double>(), 1.0);
    EXPECT_GT(json["standard_error"].get<double>(), 0.0);
    EXPECT_EQ(perplexity(model, {"-c", "64", "--chunks", "2"})["tokens"], 2 * 31);
  }
}

TEST(Perplexity, IsTheSameNumberForAnyThreadsBatchAndTier) {
  const Json doctor = Json::parse(headrace({"doctor", "--json"}).out);
  const Json reference = perplexity(gemma3_file(), {"-c", "96"})["perplexity"];
  for (const auto& [tier, state] : doctor["tiers"].items()) {
    if (state != "available") continue;
    for (const char* threads : {"1", "2"}) {
      EXPECT_EQ(perplexity(gemma3_file(), {"-c", "96", "-t", threads, "-b", "7"},
                           {.environment = {{"HEADRACE_CPU", tier}}})["perplexity"],
                reference)
          << tier << " " << threads;
    }
  }
}

// With one block the only difference between these texts is the block's first token.
TEST(Perplexity, TheFirstTokenOfABlockGivesWayToBosWhereTheModelAddsOne) {
  const auto of = [](const std::string& model, const std::string& text) {
    const Outcome outcome =
        headrace({"perplexity", "-m", model, "-f", "-", "-c", "32", "--json"}, {.input = text});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out)["perplexity"].get<double>();
  };
  const std::string rest = "bcdfgjklmnpqrsuvwxyzbcdfgjklmnp";
  // Gemma: BOS, then 31 characters, then the second block's first character, which is overwritten.
  EXPECT_EQ(of(gemma3_file(), rest + "k" + rest), of(gemma3_file(), rest + "q" + rest));
  EXPECT_NE(of(llama_file(), "k" + rest), of(llama_file(), "q" + rest));
}

TEST(Perplexity, SpellingsOfSpecialTokensArePlainText) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += "<|im_end|>";
  const Outcome outcome =
      headrace({"perplexity", "-m", llama_file(), "-f", "-", "-c", "50", "--json"}, {.input = text});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["blocks"], 2);
}

TEST(Perplexity, AProgressLineNeverReachesStandardOutput) {
  const std::string path = file_with("text", some_text());
  const Outcome outcome = headrace({"perplexity", "-m", llama_file(), "-f", path, "-c", "128"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("perplexity ")) << outcome.out;
  EXPECT_EQ(outcome.out.find('\n'), outcome.out.size() - 1);
  EXPECT_NE(outcome.err.find("scoring"), std::string::npos);
  EXPECT_EQ(headrace({"perplexity", "-m", llama_file(), "-f", path, "-c", "128", "--quiet"}).err, "");
}

TEST(Perplexity, TooShortATextOrABlockIsRefused) {
  const Outcome text = headrace({"perplexity", "-m", llama_file(), "-f", "-"}, {.input = "too short"});
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_NE(text.err.find("512"), std::string::npos) << text.err;
  EXPECT_EQ(headrace({"perplexity", "-m", llama_file(), "-f", "-", "-c", "3"}, {.input = "abc"}).exit_code,
            2);
  EXPECT_EQ(headrace({"perplexity", "-m", llama_file(), "-f", "/nowhere"}).exit_code, 5);
}

}  // namespace
}  // namespace headrace::testing
