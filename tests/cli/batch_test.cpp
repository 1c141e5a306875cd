// headrace batch: lines in, lines out. What happens when it is stopped: batch_resume_test.cpp.
#include <gtest/gtest.h>

#include "batch_lines.h"
#include "core/utf8.h"

namespace headrace::testing {
namespace {

TEST(Batch, AnswersStandInTheOrderOfTheLinesAndFiguresOnStandardError) {
  const Batch batch("order", mixed_lines(12));
  const Outcome outcome = batch.run();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  for (const char* part : {"12 answers in ", "prompts ", " reused", "generated ", "tok/s", "exact"}) {
    EXPECT_TRUE(contains(outcome.err, part)) << part << ": " << outcome.err;
  }
  EXPECT_FALSE(contains(outcome.err, "errors")) << outcome.err;
  const std::vector<Json> answers = batch.answers();
  ASSERT_EQ(answers.size(), 12U);
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i]["custom_id"], "id-" + std::to_string(i));
    const Json& usage = answers[i]["response"]["body"]["usage"];
    EXPECT_EQ(usage["total_tokens"],
              usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
  }
  EXPECT_FALSE(std::filesystem::exists(batch.errors_path()));
  EXPECT_FALSE(std::filesystem::exists(batch.journal_path()));
}

TEST(Batch, QuietIsQuiet) {
  const Batch batch("quiet", mixed_lines(2));
  EXPECT_EQ(batch.run({"--quiet"}).err, "");
}

TEST(Batch, TheSameFileGivesTheSameBytesHoweverItIsRun) {
  const std::vector<std::string> lines = mixed_lines(24);
  const Batch reference("reference", lines);
  ASSERT_EQ(reference.run({"-np", "1"}).exit_code, 0);
  const std::string expected = reference.output();
  EXPECT_FALSE(expected.empty());
  const std::vector<std::vector<std::string>> ways = {{},
                                                      {"-np", "1"},
                                                      {"-np", "32", "-b", "7"},
                                                      {"-np", "5", "-t", "1"},
                                                      {"-c", "512", "-np", "8", "--kv-tokens", "1024"}};
  for (const std::vector<std::string>& way : ways) {
    SCOPED_TRACE(way.empty() ? "" : way.back());
    const Batch batch("way", lines);
    std::vector<std::string> flags = way;
    flags.emplace_back("--overwrite");
    const Outcome outcome = batch.run(flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(batch.output(), expected);
  }
}

// Answers without what a run tells of its drafts.
std::vector<Json> texts_of(const Batch& batch) {
  std::vector<Json> bodies;
  for (const Json& answer : batch.answers()) bodies.push_back(answer["response"]["body"]["choices"]);
  return bodies;
}

TEST(Batch, DraftsAndSchedulesChangeNoAnswer) {
  const std::vector<std::string> lines = mixed_lines(16);
  const Batch reference("plain", lines);
  ASSERT_EQ(reference.run({"-c", "256"}).exit_code, 0);
  const std::vector<std::vector<std::string>> ways = {
      {"--spec-type", "ngram"},
      {"--spec-type", "ngram", "--draft-branches", "3", "-np", "6"},
      {"--spec-type", "auto", "-md", llama_file(), "-np", "4"},
      {"--spec-type", "ngram", "--spec-sched", "exspec", "--spec-window", "6", "-np", "3"},
      {"--spec-type", "model", "-md", llama_file(), "--spec-sched", "eqspec", "-np", "5"}};
  for (const std::vector<std::string>& way : ways) {
    SCOPED_TRACE(way[1] + " " + way.back());
    const Batch batch("drafted", lines);
    std::vector<std::string> flags = {"-c", "256", "--draft-fixed", "--overwrite"};
    flags.insert(flags.end(), way.begin(), way.end());
    const Outcome outcome = batch.run(flags);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(texts_of(batch), texts_of(reference));
    uint64_t drafted = 0;
    for (const Json& answer : batch.answers()) {
      const Json& told = answer["response"]["body"]["usage"]["completion_tokens_details"];
      drafted += told["accepted_prediction_tokens"].get<uint64_t>() +
                 told["rejected_prediction_tokens"].get<uint64_t>();
    }
    EXPECT_GT(drafted, 0U);
  }
}

TEST(Batch, WhatAPaddedBatchCannotDoIsRefused) {
  const Batch batch("refused", mixed_lines(2));
  EXPECT_TRUE(
      contains(batch.run({"--spec-type", "ngram", "--spec-sched", "eqspec", "--spec-rule", "rejection"}).err,
               "coupled rule alone"));
  EXPECT_TRUE(contains(batch.run({"--spec-type", "self:skip=2", "--spec-sched", "eqspec"}).err, "own cache"));
}

TEST(Batch, ALineIsAnsweredAsRunAnswersIt) {
  const Batch batch("as-run",
                    {chat_line("a", "the thing", R"(,"max_tokens":20,"seed":11,"ignore_eos":true)")});
  ASSERT_EQ(batch.run().exit_code, 0);
  const Json body = batch.answers().at(0)["response"]["body"];
  const Outcome run =
      headrace({"run", "-m", llama_file(), "-p", "the thing", "-n", "20", "-s", "11", "--ignore-eos",
                "--temp", "1", "--top-k", "0", "--top-p", "1", "--min-p", "0", "--json"});
  const Json json = Json::parse(run.out);
  EXPECT_EQ(body["choices"][0]["message"]["content"], json["text"]);
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["prompt_tokens"], json["prompt_tokens"]);
  EXPECT_EQ(body["usage"]["completion_tokens"], 20);
}

TEST(Batch, SeveralChoicesDifferAndTheFirstIsTheOnlyOnes) {
  const std::string fields = R"(,"max_tokens":12,"ignore_eos":true,"seed":3)";
  const Batch batch("choices",
                    {chat_line("a", "hello", fields), chat_line("b", "hello", fields + R"(,"n":3)")});
  ASSERT_EQ(batch.run().exit_code, 0);
  const std::vector<Json> answers = batch.answers();
  const Json one = answers.at(0)["response"]["body"]["choices"];
  const Json three = answers.at(1)["response"]["body"]["choices"];
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(three[0]["message"], one[0]["message"]);
  EXPECT_NE(three[0]["message"], three[1]["message"]);
  EXPECT_NE(three[1]["message"], three[2]["message"]);
  EXPECT_EQ(three[2]["index"], 2);
  EXPECT_EQ(answers.at(1)["response"]["body"]["usage"]["completion_tokens"], 36);
}

TEST(Batch, AStopStringEndsItsChoiceAlone) {
  const std::string fields = R"(,"max_tokens":40,"ignore_eos":true,"seed":2,"n":2)";
  const Batch whole("whole", {chat_line("a", "hello", fields)});
  ASSERT_EQ(whole.run().exit_code, 0);
  const Json before = whole.answers().at(0)["response"]["body"]["choices"];
  const std::string text = before[0]["message"]["content"];
  ASSERT_GT(text.size(), 12U);
  size_t at = text.size() / 2;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  // Long enough not to be in the other choice.
  const std::string stop = text.substr(at, decode_utf8(text, at).size + 4);
  if (!is_valid_utf8(stop)) GTEST_FAIL() << "pick another seed";
  const Batch stopped("stopped",
                      {chat_line("a", "hello", fields + ",\"stop\":[\"never\"," + Json(stop).dump() + "]")});
  ASSERT_EQ(stopped.run().exit_code, 0);
  const Json after = stopped.answers().at(0)["response"]["body"]["choices"];
  EXPECT_EQ(after[0]["message"]["content"], text.substr(0, text.find(stop)));
  EXPECT_EQ(after[0]["finish_reason"], "stop");
  EXPECT_EQ(after[1]["message"], before[1]["message"]);
  EXPECT_EQ(after[1]["finish_reason"], "length");
}

TEST(Batch, LogprobsComeInBothShapes) {
  const Batch batch(
      "logprobs",
      {chat_line("a", "hello", R"(,"max_tokens":5,"ignore_eos":true,"logprobs":true,"top_logprobs":3)"),
       completion_line("b", "hello", R"(,"max_tokens":5,"ignore_eos":true,"logprobs":2)")});
  ASSERT_EQ(batch.run().exit_code, 0);
  const std::vector<Json> answers = batch.answers();
  const Json chat = answers.at(0)["response"]["body"]["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(chat.size(), 5U);
  EXPECT_EQ(chat[0]["top_logprobs"].size(), 3U);
  EXPECT_LE(chat[0]["logprob"].get<double>(), chat[0]["top_logprobs"][0]["logprob"].get<double>());
  const Json completion = answers.at(1)["response"]["body"]["choices"][0]["logprobs"];
  EXPECT_EQ(completion["tokens"].size(), 5U);
  EXPECT_GE(completion["top_logprobs"][0].size(), 2U);
  EXPECT_EQ(completion["text_offset"][0], 0);
}

TEST(Batch, WhatCantBeAnsweredGoesToASecondFileWithItsLine) {
  const Batch batch("errors",
                    {
                        completion_line("ok", "x"),
                        "{\"custom_id\":",
                        "",
                        completion_line("ok", "y"),
                        completion_line("long", std::string(200, 'x')),
                        completion_line("bias", "x", R"(,"logit_bias":{"264":1})"),
                        completion_line("token", "x", R"(,"stop":"")"),
                        "\xff",
                        completion_line("last", "x"),
                        R"({"custom_id":"get","method":"GET","url":"/v1/completions","body":{"prompt":"x"}})",
                    });
  const Outcome outcome = batch.run({"-c", "64"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "2 answers in ")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "7 errors in " + batch.errors_path())) << outcome.err;
  const std::vector<Json> answers = batch.answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0]["custom_id"], "ok");
  EXPECT_EQ(answers[1]["custom_id"], "last");
  struct Expected {
    int line;
    const char* code;
    const char* part;
    bool responded;
  };
  const Expected expected[] = {
      {2, "invalid_json", "not JSON", false},     {4, "duplicate_custom_id", "line 1", false},
      {5, "context_length_exceeded", "64", true}, {6, "invalid_value", "264", true},
      {7, "invalid_value", "empty", true},        {8, "invalid_utf8", "UTF-8", false},
      {10, "invalid_value", "'GET'", false}};
  const std::vector<Json> errors = batch.errors();
  ASSERT_EQ(errors.size(), std::size(expected));
  for (size_t i = 0; i < errors.size(); ++i) {
    SCOPED_TRACE(errors[i].dump());
    EXPECT_EQ(errors[i]["line"], expected[i].line);
    EXPECT_EQ(errors[i]["error"]["code"], expected[i].code);
    EXPECT_TRUE(contains(errors[i]["error"]["message"], expected[i].part));
    EXPECT_EQ(errors[i]["response"].is_object(), expected[i].responded);
  }
}

TEST(Batch, ErrorsCanHaveAFileOfTheirOwn) {
  const Batch batch("own-errors", {"{"});
  const std::string path = (test_folder() / "bad lines").string();
  EXPECT_EQ(batch.run({"--errors", path}).exit_code, 0);
  EXPECT_TRUE(contains(content_of(path), "invalid_json"));
  EXPECT_EQ(batch.output(), "");
  EXPECT_TRUE(std::filesystem::exists(batch.output_path()));
}

TEST(Batch, WithoutAChatTemplateChatsAreRefusedAndCompletionsAnswered) {
  const Batch batch("no-template", {chat_line("a", "x"), completion_line("b", "x")});
  const Outcome outcome = batch.run_with(gemma3_file());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(batch.errors().size(), 1U);
  EXPECT_TRUE(contains(batch.errors()[0]["error"]["message"], "no chat template"));
  EXPECT_EQ(batch.answers().size(), 1U);
}

TEST(Batch, FilesThatCantBeAreRefusedBeforeTheModelIsLoaded) {
  const std::string in = file_with("usage.jsonl", completion_line("a", "x") + "\n");
  const std::string empty = file_with("empty.jsonl", "\n");
  const std::string out = (test_folder() / "usage.out").string();
  const auto code = [&](const std::string& from, const std::string& to) {
    return headrace({"batch", "-m", "/nowhere", from, to}).exit_code;
  };
  EXPECT_EQ(code("/nowhere/in.jsonl", out), 5);
  EXPECT_EQ(code(empty, out), 2);
  EXPECT_EQ(code(in, in), 2);
  EXPECT_EQ(code(in, "-"), 2);
  EXPECT_EQ(code("-", out), 2);
  EXPECT_EQ(code(in, test_folder().string()), 2);
  EXPECT_EQ(code(in, "/nowhere/out.jsonl"), 5);
  EXPECT_EQ(headrace({"batch", "-m", "/nowhere", in, out, "-np", "0"}).exit_code, 2);
  EXPECT_EQ(headrace({"batch", "-m", "/nowhere", in, out, "--date", "today"}).exit_code, 2);
  // The model was not found: nothing is left behind.
  EXPECT_EQ(code(in, out), 5);
  EXPECT_FALSE(std::filesystem::exists(out + ".part"));
}

}  // namespace
}  // namespace headrace::testing
