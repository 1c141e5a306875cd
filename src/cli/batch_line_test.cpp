#include "cli/batch_line.h"

#include <gtest/gtest.h>

#include "cli/fnv.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";

std::string line_with(const std::string& url, const std::string& body) {
  return R"({"custom_id":"a","method":"POST","url":")" + url + R"(","body":)" + body + "}";
}

std::string chat_with(const std::string& fields) {
  return line_with(kChat, R"({"messages":[{"role":"user","content":"x"}])" + fields + "}");
}

std::string completion_with(const std::string& fields) {
  return line_with(kCompletions, R"({"prompt":"x")" + fields + "}");
}

BatchRequest understood(const std::string& line) {
  const BatchLine parsed = parse_batch_line(line);
  if (const auto* refusal = std::get_if<Refusal>(&parsed.content)) {
    ADD_FAILURE() << line << ": " << refusal->message;
    return {};
  }
  return std::get<BatchRequest>(parsed.content);
}

Refusal refused(const std::string& line) {
  const BatchLine parsed = parse_batch_line(line);
  if (const auto* refusal = std::get_if<Refusal>(&parsed.content)) return *refusal;
  ADD_FAILURE() << "accepted: " << line;
  return {};
}

TEST(BatchLine, AChatLineHasOpenAisDefaults) {
  const BatchRequest request = understood(chat_with(""));
  EXPECT_EQ(request.endpoint, BatchEndpoint::chat);
  EXPECT_EQ(request.custom_id, "a");
  EXPECT_EQ(request.messages.dump(), R"([{"role":"user","content":"x"}])");
  EXPECT_EQ(request.max_tokens, std::nullopt);
  EXPECT_EQ(request.n, 1U);
  EXPECT_EQ(request.sampling.temperature, 1.0F);
  EXPECT_EQ(request.sampling.top_p, 1.0F);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_EQ(request.sampling.min_p, 0.0F);
  EXPECT_FALSE(request.sampling.logprobs);
  EXPECT_EQ(request.cache_salt, 0U);
}

TEST(BatchLine, ACompletionHasSixteenTokensUnlessItSaysOtherwise) {
  EXPECT_EQ(understood(completion_with("")).max_tokens, 16U);
  EXPECT_EQ(understood(completion_with(R"(,"max_tokens":3)")).max_tokens, 3U);
}

TEST(BatchLine, WithoutASeedTheIdIsTheSeed) {
  EXPECT_EQ(understood(chat_with("")).sampling.seed, fnv1a("a"));
  EXPECT_EQ(understood(chat_with(R"(,"seed":7)")).sampling.seed, 7U);
  EXPECT_EQ(understood(chat_with(R"(,"seed":-1)")).sampling.seed, ~uint64_t{0});
  EXPECT_EQ(understood(chat_with(R"(,"seed":null)")).sampling.seed, fnv1a("a"));
}

TEST(BatchLine, EveryParameterReachesTheRequest) {
  const BatchRequest request = understood(chat_with(
      R"(,"model":"m","max_tokens":9,"max_completion_tokens":9,"temperature":0.5,"top_p":0.25,"n":3)"
      R"(,"stop":["x","yz"],"seed":5,"logprobs":true,"top_logprobs":4,"presence_penalty":1)"
      R"(,"frequency_penalty":-1,"logit_bias":{"7":-100,"9":2.5},"top_k":8,"min_p":0.125)"
      R"(,"repeat_penalty":1.5,"repeat_last_n":32,"ignore_eos":true,"priority":-3,"cache_salt":"tenant")"
      R"(,"tools":[{"type":"function"}],"tool_choice":"auto","response_format":{"type":"text"})"
      R"(,"stream":false,"user":"u","metadata":{"a":"b"},"store":true)"));
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.max_tokens, 9U);
  EXPECT_EQ(request.n, 3U);
  EXPECT_EQ(request.stops, std::vector<std::string>({"x", "yz"}));
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_salt, fnv1a("tenant"));
  EXPECT_EQ(request.tools.dump(), R"([{"type":"function"}])");
  const SamplingParams& sampling = request.sampling;
  EXPECT_EQ(sampling.temperature, 0.5F);
  EXPECT_EQ(sampling.top_p, 0.25F);
  EXPECT_EQ(sampling.top_k, 8);
  EXPECT_EQ(sampling.min_p, 0.125F);
  EXPECT_EQ(sampling.repeat_penalty, 1.5F);
  EXPECT_EQ(sampling.penalty_last_n, 32);
  EXPECT_EQ(sampling.presence_penalty, 1.0F);
  EXPECT_EQ(sampling.frequency_penalty, -1.0F);
  EXPECT_EQ(sampling.seed, 5U);
  EXPECT_TRUE(sampling.logprobs);
  EXPECT_EQ(sampling.n_top_logprobs, 4U);
  ASSERT_EQ(sampling.logit_bias.size(), 2U);
  EXPECT_EQ(sampling.logit_bias[1], std::make_pair(9, 2.5F));
}

TEST(BatchLine, PromptsAreTextOrTokens) {
  EXPECT_EQ(std::get<std::string>(understood(completion_with("")).prompt), "x");
  const BatchRequest tokens = understood(line_with(kCompletions, R"({"prompt":[1,2,3],"logprobs":0})"));
  EXPECT_EQ(std::get<std::vector<int32_t>>(tokens.prompt), std::vector<int32_t>({1, 2, 3}));
  EXPECT_TRUE(tokens.sampling.logprobs);
  EXPECT_EQ(tokens.sampling.n_top_logprobs, 0U);
}

struct Case {
  std::string line;
  std::string code;
  std::string param;
  std::string part = {};  // of the message
};

TEST(BatchLine, WhatIsWrongIsRefusedByName) {
  const Case cases[] = {
      {"", "invalid_json", ""},
      {"{", "invalid_json", ""},
      {"[]", "invalid_json", "", "expected an object"},
      {"{} {}", "invalid_json", ""},
      {"{\"custom_id\":\"\xff\"}", "invalid_utf8", ""},
      {std::string(300, '['), "json_limit", "", "200"},
      {std::string(kMaxBatchLineBytes + 1, ' '), "line_too_long", "", "16777216"},
      {"{}", "missing_field", "custom_id"},
      {R"({"custom_id":null})", "missing_field", "custom_id"},
      {R"({"custom_id":5})", "invalid_value", "custom_id", "found 5"},
      {R"({"custom_id":""})", "invalid_value", "custom_id", "empty"},
      {R"({"custom_id":")" + std::string(513, 'x') + "\"}", "invalid_value", "custom_id", "512"},
      {R"({"custom_id":"a"})", "missing_field", "method"},
      {R"({"custom_id":"a","method":"GET"})", "invalid_value", "method", "'GET'"},
      {R"({"custom_id":"a","method":"POST"})", "missing_field", "url"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/embeddings"})", "invalid_value", "url"},
      {R"({"custom_id":"a","method":"POST","url":"/v1/completions"})", "missing_field", "body"},
      {line_with(kChat, "[]"), "invalid_value", "body"},
      {R"({"id":1,"custom_id":"a","method":"POST","url":"/v1/completions","body":{}})", "unknown_field",
       "id"},
      {line_with(kChat, "{}"), "missing_field", "messages"},
      {line_with(kChat, R"({"messages":[]})"), "invalid_value", "messages", "empty"},
      {line_with(kChat, R"({"messages":"x"})"), "invalid_value", "messages", "an array"},
      {line_with(kChat, R"({"messages":[1]})"), "invalid_value", "messages", "messages[0]"},
      {line_with(kChat, R"({"messages":[{"role":1}]})"), "invalid_value", "messages", "messages[0].role"},
      {line_with(kChat, R"({"prompt":"x","messages":[{}]})"), "unknown_field", "prompt"},
      {chat_with(R"(,"temperature":"warm")"), "invalid_value", "temperature", "found 'warm'"},
      {chat_with(R"(,"temperature":-1)"), "invalid_value", "temperature", "found -1"},
      {chat_with(R"(,"temperature":1e999)"), "invalid_json", ""},
      {chat_with(R"(,"top_p":0)"), "invalid_value", "top_p"},
      {chat_with(R"(,"n":0)"), "invalid_value", "n", "1 to 128"},
      {chat_with(R"(,"n":1.5)"), "invalid_value", "n"},
      {chat_with(R"(,"n":true)"), "invalid_value", "n", "found true"},
      {chat_with(R"(,"n":18446744073709551615)"), "invalid_value", "n"},
      {chat_with(R"(,"max_tokens":0)"), "invalid_value", "max_tokens"},
      {chat_with(R"(,"max_tokens":1,"max_completion_tokens":2)"), "invalid_value", "max_tokens", "differs"},
      {chat_with(R"(,"stop":3)"), "invalid_value", "stop"},
      {chat_with(R"(,"stop":["a",3])"), "invalid_value", "stop"},
      {chat_with(R"(,"seed":0.5)"), "invalid_value", "seed"},
      {chat_with(R"(,"logprobs":5)"), "invalid_value", "logprobs"},
      {chat_with(R"(,"top_logprobs":5)"), "invalid_value", "top_logprobs", "logprobs to be true"},
      {chat_with(R"(,"logprobs":true,"top_logprobs":21)"), "invalid_value", "top_logprobs", "0 to 20"},
      {chat_with(R"(,"logit_bias":[])"), "invalid_value", "logit_bias"},
      {chat_with(R"(,"logit_bias":{"x":1})"), "invalid_value", "logit_bias", "'x'"},
      {chat_with(R"(,"logit_bias":{"-1":1})"), "invalid_value", "logit_bias"},
      {chat_with(R"(,"logit_bias":{"1":101})"), "invalid_value", "logit_bias", "101"},
      {chat_with(R"(,"stream":true)"), "unsupported_value", "stream"},
      {chat_with(R"(,"response_format":{"type":"json_object"})"), "unsupported_value", "response_format"},
      {chat_with(R"(,"tools":{})"), "invalid_value", "tools"},
      {chat_with(R"(,"tool_choice":"required")"), "unsupported_value", "tool_choice"},
      {chat_with(R"(,"priority":1001)"), "invalid_value", "priority", "1000"},
      {chat_with(R"(,"dance":1)"), "unknown_field", "dance"},
      {chat_with(R"(,"echo":false)"), "unknown_field", "echo"},
      {line_with(kCompletions, "{}"), "missing_field", "prompt"},
      {line_with(kCompletions, R"({"prompt":["a","b"]})"), "unsupported_value", "prompt",
       "a line of its own"},
      {line_with(kCompletions, R"({"prompt":[[1],[2]]})"), "unsupported_value", "prompt"},
      {line_with(kCompletions, R"({"prompt":[-1]})"), "invalid_value", "prompt"},
      {line_with(kCompletions, R"({"prompt":[2147483648]})"), "invalid_value", "prompt"},
      {completion_with(R"(,"logprobs":6)"), "invalid_value", "logprobs", "0 to 5"},
      {completion_with(R"(,"echo":true)"), "unsupported_value", "echo"},
      {completion_with(R"(,"suffix":"z")"), "unsupported_value", "suffix"},
      {completion_with(R"(,"messages":[])"), "unknown_field", "messages"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.line.substr(0, 200));
    const Refusal refusal = refused(c.line);
    EXPECT_EQ(refusal.code, c.code) << refusal.message;
    EXPECT_EQ(refusal.param, c.param) << refusal.message;
    EXPECT_NE(refusal.message.find(c.part), std::string::npos) << refusal.message;
    EXPECT_NE(refusal.message.find(c.param), std::string::npos) << refusal.message;
  }
}

TEST(BatchLine, NullFieldsCountAsMissing) {
  understood(
      chat_with(R"(,"temperature":null,"stop":null,"n":null,"tools":null,"dance":null,"logprobs":null)"));
}

TEST(BatchLine, TheIdOfARefusedLineIsKnownIfItCanBeRead) {
  EXPECT_EQ(parse_batch_line(chat_with(R"(,"n":0)")).custom_id, "a");
  EXPECT_EQ(parse_batch_line(R"({"custom_id":"b","method":"GET"})").custom_id, "b");
  EXPECT_EQ(parse_batch_line("{").custom_id, std::nullopt);
  EXPECT_TRUE(parse_batch_line(chat_with(R"(,"n":0)")).body_refused);
  EXPECT_FALSE(parse_batch_line(R"({"custom_id":"b","method":"GET"})").body_refused);
}

}  // namespace
}  // namespace headrace::cli
