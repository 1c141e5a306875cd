#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "engine/text_generator.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"
#include "text/tokenizer_gguf.h"
#include "tiny_model.h"

namespace headrace {
namespace {

using headrace::testing::tiny_gemma3;
using testing::tiny_llama;

enum class Family { llama, gemma3 };

std::string tiny_bytes(Family family, DType type) {
  const testing::TinyModelOptions options = {.type = type, .seed = 5};
  return (family == Family::llama ? tiny_llama(options) : tiny_gemma3(options)).bytes();
}

// What a request brought: tokens with their logprobs, by position.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;
  FinishReason finished = FinishReason::none;
};
bool same_bits(const Answer& a, const Answer& b) {
  return a.tokens == b.tokens && a.logprobs.size() == b.logprobs.size() &&
         std::memcmp(a.logprobs.data(), b.logprobs.data(), a.logprobs.size() * sizeof(double)) == 0;
}

struct World {
  std::string bytes;
  MemoryLedger ledger{uint64_t{1} << 32};
  ModelFile file;
  std::unique_ptr<Engine> engine;

  World(std::string model, std::unique_ptr<Backend> backend, EngineOptions options)
      : bytes(std::move(model)), file(GgufFile::parse("tiny", testing::as_bytes(bytes)).value()) {
    auto loaded = load_model(file, *backend, ledger).value();
    engine = Engine::create(std::move(backend), std::move(loaded), ledger, options).value();
  }

  std::map<RequestId, Answer> finish() {
    std::map<RequestId, Answer> answers;
    while (!engine->idle()) {
      std::vector<Event> events;
      engine->step(events);
      for (const Event& e : events) {
        Answer& answer = answers[e.request];
        if (e.has_token) answer.tokens.push_back(e.draw.token);
        if (e.has_token) answer.logprobs.push_back(e.draw.logprob);
        if (e.finished != FinishReason::none) answer.finished = e.finished;
      }
    }
    return answers;
  }
  Answer answer(const Request& request) {
    const RequestId id = engine->submit(request).value();
    return finish()[id];
  }
};

EngineOptions options(uint32_t batch_rows, uint32_t sequences = 1) {
  return {.context = 512, .sequences = sequences, .batch_rows = batch_rows};
}

std::unique_ptr<Backend> best_cpu(size_t threads = 1) {
  return make_cpu_backend(cpu::choose_tier("").value(), threads);
}

Request random_request(uint32_t seed, size_t prompt_tokens, uint32_t new_tokens) {
  std::mt19937 random(seed);
  Request request;
  for (size_t i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(10 + static_cast<int32_t>(random() % 200));
  request.max_new_tokens = new_tokens;
  request.sampling.seed = seed;
  request.sampling.logprobs = true;
  // Random weights are sure of themselves; without this every seed draws the same tokens.
  request.sampling.temperature = 4.0F;
  request.sampling.top_k = 0;
  request.sampling.top_p = 1.0F;
  request.sampling.min_p = 0.0F;
  return request;
}

class EngineFamilies : public ::testing::TestWithParam<Family> {};

TEST_P(EngineFamilies, ChunksOfAPromptNeverShowInTheAnswer) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  const Request request = random_request(1, 150, 20);
  World whole(model, best_cpu(), options(512));
  const Answer expected = whole.answer(request);
  ASSERT_EQ(expected.tokens.size(), 20U);
  for (const uint32_t rows : {1U, 7U, 16U, 64U, 149U}) {
    World cut(model, best_cpu(), options(rows));
    EXPECT_TRUE(same_bits(cut.answer(request), expected)) << rows << " rows a step";
  }
}

TEST_P(EngineFamilies, ChunksNeverShowBeyondASplitOfTheAttentionEither) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  const Request request = random_request(2, 1100, 8);
  EngineOptions long_context = options(1100);
  long_context.context = 1200;
  World whole(model, best_cpu(), long_context);
  const Answer expected = whole.answer(request);
  for (const uint32_t rows : {64U, 500U, 511U, 513U}) {
    long_context.batch_rows = rows;
    World cut(model, best_cpu(2), long_context);
    EXPECT_TRUE(same_bits(cut.answer(request), expected)) << rows << " rows a step";
  }
}

TEST_P(EngineFamilies, NeighboursInTheBatchNeverShowInTheAnswer) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  World alone(model, best_cpu(), options(64));
  World crowd(model, best_cpu(2), options(64, 9));
  std::map<RequestId, Answer> expected;
  for (uint32_t i = 0; i < 9; ++i) {
    const Request request = random_request(i, 1 + 17 * i, 5 + 3 * i);
    expected[crowd.engine->submit(request).value()] = alone.answer(request);
  }
  const auto answers = crowd.finish();
  ASSERT_EQ(answers.size(), 9U);
  for (const auto& [id, answer] : answers) EXPECT_TRUE(same_bits(answer, expected[id])) << "request " << id;
}

TEST_P(EngineFamilies, EveryTierAndTheReferenceGiveTheSameBits) {
  for (const DType type : {DType::F32, DType::BF16, DType::Q4_1, DType::Q5_0, DType::Q4_K, DType::Q6_K}) {
    const std::string model = tiny_bytes(GetParam(), type);
    const Request request = random_request(3, 40, 12);
    World truth(model, make_reference_backend(), options(512));
    const Answer expected = truth.answer(request);
    for (const cpu::Tier tier : cpu::available_tiers()) {
      World world(model, make_cpu_backend(tier, 2), options(512));
      EXPECT_TRUE(same_bits(world.answer(request), expected)) << cpu::name_of(tier) << " " << name_of(type);
    }
  }
}

TEST_P(EngineFamilies, ScoresAreTheBitsOfGeneration) {
  const std::string model = tiny_bytes(GetParam(), DType::Q4_0);
  World world(model, best_cpu(), options(64));
  const Request request = random_request(4, 30, 40);
  const Answer generated = world.answer(request);
  Request score;
  score.prompt = request.prompt;
  score.prompt.insert(score.prompt.end(), generated.tokens.begin(), generated.tokens.end());
  score.score_from = 30;
  EXPECT_TRUE(same_bits(world.answer(score), generated));
}

TEST_P(EngineFamilies, AnotherSeedIsAnotherAnswer) {
  // The negative control of the tests above: they can tell answers apart.
  World world(tiny_bytes(GetParam(), DType::Q8_0), best_cpu(), options(64));
  Request request = random_request(1, 50, 20);
  const Answer first = world.answer(request);
  request.sampling.seed = 2;
  EXPECT_FALSE(same_bits(world.answer(request), first));
  request.sampling.seed = 1;
  request.prompt[0] += 1;
  EXPECT_FALSE(same_bits(world.answer(request), first));
}

INSTANTIATE_TEST_SUITE_P(Families, EngineFamilies, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

class EngineTest : public ::testing::Test {
 protected:
  World world_{tiny_bytes(Family::llama, DType::F32), best_cpu(), options(64, 2)};
};

TEST_F(EngineTest, StopsAtTheEndTokenAndReportsIt) {
  Request request = random_request(1, 10, 50);
  const Answer free = world_.answer(request);
  request.end_tokens = {free.tokens[7]};
  const Answer ended = world_.answer(request);
  EXPECT_EQ(ended.finished, FinishReason::end_token);
  EXPECT_EQ(ended.tokens.back(), free.tokens[7]);
  EXPECT_LE(ended.tokens.size(), 8U);
}

TEST_F(EngineTest, AFullContextEndsTheAnswerAndNothingIsCut) {
  const Answer answer = world_.answer(random_request(1, 500, 100));
  EXPECT_EQ(answer.finished, FinishReason::context);
  EXPECT_EQ(answer.tokens.size(), 12U);
  EXPECT_EQ(world_.answer(random_request(1, 512, 100)).tokens.size(), 1U);
}

TEST_F(EngineTest, APromptBeyondTheContextIsRefusedWithBothNumbers) {
  const auto id = world_.engine->submit(random_request(1, 513, 1));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Errc::out_of_budget);
  EXPECT_NE(id.error().message.find("513"), std::string::npos);
  EXPECT_NE(id.error().message.find("512"), std::string::npos);
  EXPECT_TRUE(world_.engine->idle());
}

TEST_F(EngineTest, RefusesEmptyPromptsAndForeignTokens) {
  EXPECT_FALSE(world_.engine->submit(Request{}));
  Request request;
  request.prompt = {100000};
  EXPECT_FALSE(world_.engine->submit(request));
  request.prompt = {-1};
  EXPECT_FALSE(world_.engine->submit(request));
}

TEST_F(EngineTest, ACancelledRequestEndsAndTheOthersGoOn) {
  const RequestId gone = world_.engine->submit(random_request(1, 20, 100)).value();
  const Request other = random_request(2, 20, 10);
  const RequestId stays = world_.engine->submit(other).value();
  std::vector<Event> events;
  world_.engine->step(events);
  world_.engine->cancel(gone);
  auto answers = world_.finish();
  EXPECT_EQ(answers[gone].finished, FinishReason::cancelled);
  EXPECT_EQ(answers[stays].finished, FinishReason::length);
  EXPECT_EQ(world_.answer(other).tokens.size(), 10U);
}

TEST_F(EngineTest, MoreRequestsThanSequencesWaitTheirTurn) {
  for (uint32_t i = 0; i < 7; ++i) ASSERT_TRUE(world_.engine->submit(random_request(i, 10 + i, 5)));
  const auto answers = world_.finish();
  ASSERT_EQ(answers.size(), 7U);
  for (const auto& [id, answer] : answers) EXPECT_EQ(answer.tokens.size(), 5U);
}

TEST(Engine, AContextBeyondMemoryIsRefusedWithBytesNeededAndFree) {
  const std::string bytes = tiny_bytes(Family::llama, DType::F32);
  MemoryLedger ledger(4 << 20);
  const ModelFile file = GgufFile::parse("tiny", testing::as_bytes(bytes)).value();
  auto backend = best_cpu();
  auto model = load_model(file, *backend, ledger).value();
  EngineOptions wanted = options(64);
  wanted.context = 1 << 20;
  const auto engine = Engine::create(std::move(backend), std::move(model), ledger, wanted);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, Errc::out_of_budget);
  EXPECT_NE(engine.error().message.find("-c"), std::string::npos);
}

TEST(Engine, AnAutomaticContextLeavesRoomForEverythingElse) {
  const std::string bytes = tiny_bytes(Family::llama, DType::F32);
  const ModelFile file = GgufFile::parse("tiny", testing::as_bytes(bytes)).value();
  MemoryLedger ledger(8 << 20);
  auto backend = best_cpu();
  auto model = load_model(file, *backend, ledger).value();
  const auto engine =
      Engine::create(std::move(backend), std::move(model), ledger, {.context = 0, .batch_rows = 512});
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_GE((*engine)->context(), 64U);
  EXPECT_LT((*engine)->context(), (*engine)->model().info().context_length);
}

TEST(Engine, TwoEnginesInOneProcessDoNotMeet) {
  World a(tiny_bytes(Family::llama, DType::F32), best_cpu(), options(64));
  World b(tiny_bytes(Family::gemma3, DType::Q8_0), best_cpu(), options(64));
  const Request request = random_request(1, 20, 8);
  const Answer first_a = a.answer(request);
  const Answer first_b = b.answer(request);
  EXPECT_TRUE(same_bits(a.answer(request), first_a));
  EXPECT_TRUE(same_bits(b.answer(request), first_b));
}

TEST(Engine, ClosingGivesBackEveryByte) {
  MemoryLedger ledger(uint64_t{1} << 30);
  {
    const std::string bytes = tiny_bytes(Family::llama, DType::F32);
    const ModelFile file = GgufFile::parse("tiny", testing::as_bytes(bytes)).value();
    auto backend = best_cpu();
    auto model = load_model(file, *backend, ledger).value();
    const auto engine = Engine::create(std::move(backend), std::move(model), ledger, options(64)).value();
    EXPECT_GT(ledger.used(), 0U);
  }
  EXPECT_EQ(ledger.used(), 0U);
}

TEST(Generate, AStopStringEndsTheTextBeforeItAndAcrossTokens) {
  World world(tiny_bytes(Family::llama, DType::F32), best_cpu(), options(64));
  const Tokenizer tokenizer = load_tokenizer(*world.file.gguf()).value();
  GenerateOptions go;
  go.max_new_tokens = 60;
  go.sampling.seed = 3;
  go.ignore_eos = true;
  std::string all;
  const std::vector<int32_t> prompt = tokenizer.encode("Once upon a time");
  ASSERT_TRUE(generate(*world.engine, tokenizer, prompt, go, [&](std::string_view t) { all += t; }));
  ASSERT_GT(all.size(), 20U);
  // Random bytes make U+FFFD, three bytes each: cut at characters.
  size_t begin = 8;
  while ((all[begin] & 0xC0) == 0x80) ++begin;
  size_t end = begin + 4;
  while ((all[end] & 0xC0) == 0x80) ++end;
  go.stops = {all.substr(begin, end - begin)};
  std::string text;
  const auto stopped = generate(*world.engine, tokenizer, prompt, go, [&](std::string_view t) { text += t; });
  ASSERT_TRUE(stopped);
  EXPECT_TRUE(stopped->stopped);
  EXPECT_EQ(text, all.substr(0, all.find(go.stops[0])));
  EXPECT_TRUE(world.engine->idle());
}

}  // namespace
}  // namespace headrace
