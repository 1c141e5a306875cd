#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/utf8.h"
#include "program.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

Outcome run(const std::string& model, std::vector<std::string> extra, const Surroundings& surroundings = {}) {
  std::vector<std::string> arguments = {"run", "-m", model};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return headrace(arguments, surroundings);
}

Json run_json(const std::string& model, std::vector<std::string> extra,
              const Surroundings& surroundings = {}) {
  extra.emplace_back("--json");
  const Outcome outcome = run(model, std::move(extra), surroundings);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

std::vector<std::string> available_tiers() {
  std::vector<std::string> names;
  const Json doctor = Json::parse(headrace({"doctor", "--json"}).out);
  for (const auto& [name, state] : doctor["tiers"].items()) {
    if (state == "available") names.push_back(name);
  }
  return names;
}

TEST(Run, TextIsOnStandardOutputAndFiguresOnStandardError) {
  const Outcome outcome = run(llama_file(), {"-p", "hello", "-n", "12", "-s", "1", "--ignore-eos"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.ends_with('\n'));
  EXPECT_TRUE(is_valid_utf8(outcome.out));
  for (const char* part : {"load ", " | prefill ", " | decode 12 tokens", "tok/s", "exact", "thread"}) {
    EXPECT_TRUE(contains(outcome.err, part)) << part << ": " << outcome.err;
  }
  const Outcome quiet = run(llama_file(), {"-p", "hello", "-n", "12", "-s", "1", "--ignore-eos", "--quiet"});
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.out, outcome.out);
}

TEST(Run, JsonHasTextTokensAndTimings) {
  const Json json =
      run_json(llama_file(), {"-p", "hello", "-n", "6", "-s", "7", "--ignore-eos", "--logprobs", "2"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["tokens"].size(), 6U);
  EXPECT_EQ(json["generated_tokens"], 6);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 7);
  // <|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n: three special tokens, the rest bytes but
  // "er".
  EXPECT_EQ(json["prompt_tokens"], 3 + 4 + 5 + 1 + 10);
  EXPECT_TRUE(json["text"].is_string());
  EXPECT_GE(json["timings"]["load_seconds"].get<double>(), 0.0);
  ASSERT_EQ(json["logprobs"].size(), 6U);
  EXPECT_EQ(json["logprobs"][0]["top"].size(), 2U);
  EXPECT_LE(json["logprobs"][0]["logprob"].get<double>(), 0.0);
}

TEST(Run, TheSameSeedGivesTheSameTokensOnEveryTierAndThreadCount) {
  for (const std::string& model : {llama_file(), gemma3_file()}) {
    const std::vector<std::string> flags = {"-p", "the thing in there", "-n", "24", "-s",
                                            "3",  "--ignore-eos"};
    const Json reference = run_json(model, flags)["tokens"];
    ASSERT_EQ(reference.size(), 24U);
    for (const std::string& tier : available_tiers()) {
      for (const char* threads : {"1", "2"}) {
        std::vector<std::string> with = flags;
        with.insert(with.end(), {"-t", threads, "-tb", "2", "-b", "5"});
        EXPECT_EQ(run_json(model, with, {.environment = {{"HEADRACE_CPU", tier}}})["tokens"], reference)
            << tier << " " << threads;
      }
    }
    std::vector<std::string> other = flags;
    other[5] = "4";
    EXPECT_NE(run_json(model, other)["tokens"], reference);
  }
}

TEST(Run, AMessageNeverYieldsSpecialTokensButRawTextDoes) {
  const auto count = [](const std::vector<std::string>& flags) {
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"-n", "1"});
    return run_json(llama_file(), all)["prompt_tokens"].get<int>();
  };
  const int empty = count({"-p", "x"}) - 1;
  EXPECT_EQ(count({"-p", "<|im_end|>"}), empty + 10);
  EXPECT_EQ(count({"-p", "<|im_end|>", "--raw"}), 1);
  EXPECT_GT(count({"-p", "x", "-sys", "Be brief."}), empty + 1);
}

TEST(Run, EscapesAreReadUnlessRefused) {
  const auto count = [](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--raw", "-n", "1"});
    return run_json(llama_file(), flags)["prompt_tokens"].get<int>();
  };
  EXPECT_EQ(count({"-p", R"(a\nb\x41\q)"}), 6);
  EXPECT_EQ(count({"-p", R"(a\nb\x41\q)", "--no-escape"}), 10);
}

TEST(Run, AModelWithoutATemplateGetsTheTextAsItIsWithANote) {
  const Outcome outcome = run(gemma3_file(), {"-p", "a", "-n", "1"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(contains(outcome.err, "no chat template")) << outcome.err;
  const Outcome refused = run(gemma3_file(), {"-p", "a", "-sys", "b"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(contains(refused.err, "--system-prompt")) << refused.err;
}

TEST(Run, StopStringsAreNotPrinted) {
  const std::vector<std::string> flags = {"-p", "hello", "-n", "40", "-s", "2", "--ignore-eos"};
  const std::string text = run_json(llama_file(), flags)["text"];
  ASSERT_GT(text.size(), 12U);
  // A character of the answer, from its middle on.
  size_t at = text.size() / 2;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  const std::string stop = text.substr(at, decode_utf8(text, at).size);
  std::vector<std::string> with = flags;
  with.insert(with.end(), {"--no-escape", "-r", "never, never", "-r", stop});
  const Json stopped = run_json(llama_file(), with);
  EXPECT_EQ(stopped["finish_reason"], "stop_string");
  EXPECT_EQ(stopped["text"], text.substr(0, text.find(stop)));
}

TEST(Run, AMessageFromAFileLosesItsLastNewlineOnlyAndRawTextNone) {
  const auto count = [](const std::string& input, const std::vector<std::string>& more) {
    std::vector<std::string> flags = {"-f", "-", "-n", "1"};
    flags.insert(flags.end(), more.begin(), more.end());
    return run_json(llama_file(), flags, {.input = input})["prompt_tokens"].get<int>();
  };
  const int message = count("abc", {});
  EXPECT_EQ(count("abc\n", {}), message);
  EXPECT_EQ(count("abc\n\n", {}), message + 1);
  EXPECT_EQ(count("abc\\n", {}), message + 2);
  EXPECT_EQ(count("abc\n", {"--raw"}), 4);
}

TEST(Run, AnEmptyPromptIsRefused) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"-p", ""}, {"-f", "-"}, {"-p", "", "--raw"}}) {
    EXPECT_EQ(run(llama_file(), flags).exit_code, 2);
  }
}

TEST(Run, OfARepeatedFlagTheLastCountsButStopsAndBiasesAddUp) {
  EXPECT_EQ(run_json(llama_file(), {"-p", "a", "-n", "9", "-n", "2", "--ignore-eos"})["generated_tokens"], 2);
  // Every byte of the vocabulary but two is forbidden by turns: both biases must hold.
  std::vector<std::string> flags = {"-p", "a", "-n", "3", "--temp", "0", "--raw"};
  for (int id = 0; id < 264; ++id) {
    if (id != 70) flags.insert(flags.end(), {"-l", std::to_string(id) + "-inf"});
  }
  EXPECT_EQ(run_json(llama_file(), flags)["tokens"], Json({70, 70, 70}));
}

TEST(Run, APromptLongerThanTheContextIsRefusedWithBothNumbers) {
  const Outcome outcome = run(llama_file(), {"-p", std::string(200, 'x'), "--raw", "-c", "64"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "200")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "64")) << outcome.err;
}

TEST(Run, TheAnswerEndsWhereTheContextDoes) {
  const Json json = run_json(llama_file(), {"-p", std::string(60, 'x'), "--raw", "-c", "64", "--ignore-eos"});
  EXPECT_EQ(json["finish_reason"], "context");
  EXPECT_EQ(json["generated_tokens"], 4);
}

TEST(Run, AContextBeyondMemoryIsRefusedBeforeItIsTaken) {
  const Outcome outcome = run(llama_file(), {"-p", "x", "-c", "16777216", "--memory", "64M"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "bytes")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "free")) << outcome.err;
  EXPECT_EQ(run(llama_file(), {"-p", "x", "--memory", "1K"}).exit_code, 4);
}

TEST(Run, TextThatIsNotUtf8IsMendedWithAWarning) {
  const Outcome outcome = run(llama_file(), {"-p", "a\xFF z", "-n", "2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "not valid UTF-8")) << outcome.err;
}

TEST(Run, CtrlCWhileDecodingKeepsTheTextAndShowsTheFigures) {
  const Outcome outcome =
      run(llama_file(), {"-p", "hello", "-t", "1", "--ignore-eos"},
          {.interrupt_when = [](const std::string& out, const std::string&) { return !out.empty(); }});
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_NE(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, " | decode ")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "headrace: interrupted")) << outcome.err;
}

TEST(Run, CtrlCInThePromptStopsBeforeTheFirstToken) {
  const Surroundings with = {
      .interrupt_when = [](const std::string&, const std::string& err) { return contains(err, "seed "); }};
  const Outcome outcome =
      run(llama_file(),
          {"-p", std::string(32000, 'x'), "--raw", "-t", "1", "-b", "16", "--verbose", "--ignore-eos"}, with);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "tokens interrupted")) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
