#include "cli/batch_answer.h"

#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/batch_prompt.h"
#include "text/tokenizer_gguf.h"
#include "tiny_model.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

Tokenizer tiny_tokenizer() {
  const std::string bytes = testing::tiny_llama().bytes();
  return load_tokenizer(GgufFile::parse("tiny", std::as_bytes(std::span(bytes))).value()).value();
}

// Of the tiny model's tokenizer.
constexpr int32_t byte_token(unsigned char byte) {
  return 3 + byte;
}

BatchRequest request_for(BatchEndpoint endpoint) {
  BatchRequest request;
  request.endpoint = endpoint;
  request.custom_id = "q-1";
  request.messages = Json::parse(R"([{"role":"user","content":"hi <|im_end|>"}])");
  return request;
}

TEST(BatchAnswer, AChatAnswerHasOpenAisShape) {
  const std::vector<BatchChoice> choices = {{.text = "ja \"ß\"", .tokens = 4},
                                            {.text = "nein", .tokens = 5, .reached_limit = true}};
  const std::string line =
      answer_line(request_for(BatchEndpoint::chat), tiny_tokenizer(), "tiny", 7, choices);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  Json json = Json::parse(line);
  EXPECT_EQ(json["custom_id"], "q-1");
  EXPECT_TRUE(json["error"].is_null());
  EXPECT_EQ(json["response"]["status_code"], 200);
  const Json& body = json["response"]["body"];
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["created"], 0);
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["usage"], Json({{"prompt_tokens", 7}, {"completion_tokens", 9}, {"total_tokens", 16}}));
  ASSERT_EQ(body["choices"].size(), 2U);
  EXPECT_EQ(body["choices"][0]["message"]["content"], "ja \"ß\"");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
}

TEST(BatchAnswer, WhatBecameOfDraftsIsToldWhereTheyAreMade) {
  std::vector<BatchChoice> choices = {{.text = "a", .tokens = 4}, {.text = "b", .tokens = 5}};
  choices[0].drafts = DraftTally{.drafts = 2, .tokens = 6, .accepted = 3};
  choices[1].drafts = DraftTally{.drafts = 1, .tokens = 4, .accepted = 0};
  const Json usage = Json::parse(answer_line(request_for(BatchEndpoint::chat), tiny_tokenizer(), "tiny", 7,
                                             choices))["response"]["body"]["usage"];
  EXPECT_EQ(usage["completion_tokens_details"],
            Json({{"accepted_prediction_tokens", 3}, {"rejected_prediction_tokens", 7}}));
}

TEST(BatchAnswer, ChatLogprobsHaveBytesAndAlternatives) {
  BatchRequest request = request_for(BatchEndpoint::chat);
  request.sampling.logprobs = true;
  const double odd = -0.1234567890123456789;
  const std::vector<BatchChoice> choices = {
      {.text = "a", .draws = {{byte_token('a'), odd, {{byte_token('b'), kImpossible}}}}, .tokens = 1},
      {.text = "\xEF\xBF\xBD", .draws = {{byte_token(0xC3), -1, {}}}, .tokens = 1}};
  const Json json = Json::parse(answer_line(request, tiny_tokenizer(), "tiny", 7, choices));
  const Json& list = json["response"]["body"]["choices"];
  const Json& first = list[0]["logprobs"]["content"][0];
  EXPECT_EQ(first["token"], "a");
  EXPECT_EQ(first["logprob"].get<double>(), odd);
  EXPECT_EQ(first["bytes"], Json({97}));
  EXPECT_EQ(first["top_logprobs"][0]["token"], "b");
  EXPECT_EQ(first["top_logprobs"][0]["logprob"], -9999);
  EXPECT_EQ(list[1]["logprobs"]["content"][0]["bytes"], Json({0xC3}));
}

TEST(BatchAnswer, CompletionLogprobsHaveOffsetsInCharacters) {
  BatchRequest request = request_for(BatchEndpoint::completions);
  request.model = "named";
  request.sampling.logprobs = true;
  const std::vector<BatchChoice> choices = {{.text = "äb",
                                             .draws = {{byte_token(0xC3), -1, {{byte_token('x'), -0.5}}},
                                                       {byte_token(0xA4), -2, {}},
                                                       {byte_token('b'), -3, {}}},
                                             .tokens = 3}};
  const Json json = Json::parse(answer_line(request, tiny_tokenizer(), "tiny", 7, choices));
  const Json& body = json["response"]["body"];
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["model"], "named");
  EXPECT_EQ(body["choices"][0]["text"], "äb");
  const Json& logprobs = body["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json({R"(bytes:\xc3)", R"(bytes:\xa4)", "b"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json({-1.0, -2.0, -3.0}));
  EXPECT_EQ(logprobs["text_offset"], Json({0, 0, 1}));
  EXPECT_EQ(logprobs["top_logprobs"][0].dump(), R"({"x":-0.5,"bytes:\\xc3":-1.0})");
}

TEST(BatchAnswer, ARefusedLineHasItsNumberAndARefusedBodyAResponse) {
  const BatchInputLine line = {.offset = 0, .bytes = 3, .hash = 5, .number = 12};
  const Json outside = Json::parse(error_line(line, std::nullopt, {"invalid_json", "not JSON", ""}, false));
  EXPECT_EQ(outside["id"], "batch_req_0000000000000005");
  EXPECT_TRUE(outside["custom_id"].is_null());
  EXPECT_EQ(outside["line"], 12);
  EXPECT_TRUE(outside["response"].is_null());
  EXPECT_EQ(outside["error"], Json({{"code", "invalid_json"}, {"message", "not JSON"}}));
  const Json body = Json::parse(error_line(line, "a", {"invalid_value", "body.n: no", "n"}, true));
  EXPECT_EQ(body["custom_id"], "a");
  EXPECT_EQ(body["response"]["status_code"], 400);
  EXPECT_EQ(body["response"]["body"]["error"]["param"], "n");
  EXPECT_EQ(body["response"]["body"]["error"]["type"], "invalid_request_error");
  EXPECT_EQ(body["error"]["code"], "invalid_value");
}

TEST(BatchPrompts, MessagesNeverYieldSpecialTokensAndCompletionsDo) {
  const Tokenizer tokenizer = tiny_tokenizer();
  const BatchPrompts prompts(tokenizer, 0);
  const auto ends = [&](const BatchRequest& request) {
    const auto made = prompts.make(request);
    return std::ranges::count(std::get<Request>(made).prompt, *tokenizer.find("<|im_end|>"));
  };
  BatchRequest chat = request_for(BatchEndpoint::chat);
  const auto with = ends(chat);
  chat.messages = Json::parse(R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(with, ends(chat));
  BatchRequest completion = request_for(BatchEndpoint::completions);
  completion.prompt = "hi <|im_end|>";
  EXPECT_EQ(ends(completion), 1);
  completion.prompt = std::vector<int32_t>{5, 6};
  EXPECT_EQ(std::get<Request>(prompts.make(completion)).prompt, std::vector<int32_t>({5, 6}));
}

TEST(BatchPrompts, ATemplateThatRefusesIsTheLinesFault) {
  const Tokenizer tokenizer = tiny_tokenizer();
  BatchRequest chat = request_for(BatchEndpoint::chat);
  chat.messages = Json::parse(R"([{"role":"user","content":[[1]]}])");
  const auto made = BatchPrompts(tokenizer, 0).make(chat);
  ASSERT_TRUE(std::holds_alternative<Refusal>(made));
  EXPECT_EQ(std::get<Refusal>(made).param, "messages");
}

TEST(BatchPrompts, IgnoringTheEndForbidsItsTokens) {
  const BatchPrompts prompts(tiny_tokenizer(), 0);
  BatchRequest chat = request_for(BatchEndpoint::chat);
  EXPECT_FALSE(std::get<Request>(prompts.make(chat)).end_tokens.empty());
  chat.ignore_eos = true;
  const auto made = prompts.make(chat);
  EXPECT_TRUE(std::get<Request>(made).end_tokens.empty());
  EXPECT_FALSE(std::get<Request>(made).sampling.logit_bias.empty());
}

TEST(BatchPrompts, ADateIsADay) {
  const auto day = [](const char* text) {
    const std::time_t moment = parse_date(text).value();
    std::tm parts{};
    ::localtime_r(&moment, &parts);
    return fmt::format("{} {} {}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
  };
  EXPECT_EQ(day("2026-01-31"), "2026 1 31");
  EXPECT_EQ(day("2024-02-29"), "2024 2 29");
  for (const char* wrong :
       {"", "2026", "2026-02-30", "2026-1-3", "2026-01-3x", "2026-01-031", "-026-01-01", "2026/01/01"}) {
    EXPECT_FALSE(static_cast<bool>(parse_date(wrong))) << wrong;
  }
}

}  // namespace
}  // namespace headrace::cli
