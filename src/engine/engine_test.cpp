#include "engine/engine.h"

#include "engine/testing/engine_world.h"
#include "engine/text_generator.h"
#include "text/tokenizer_gguf.h"

namespace headrace {
namespace {

using namespace engine_testing;

class EngineFamilies : public ::testing::TestWithParam<Family> {};

TEST_P(EngineFamilies, ChunksOfAPromptNeverShowInTheAnswer) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  const Request request = random_request(1, 150, 20);
  World whole(model, test_device(), options(512));
  const Answer expected = whole.answer(request);
  ASSERT_EQ(expected.tokens.size(), 20U);
  for (const uint32_t rows : {1U, 7U, 16U, 64U, 149U}) {
    World cut(model, test_device(), options(rows));
    EXPECT_TRUE(same_bits(cut.answer(request), expected)) << rows << " rows a step";
  }
}

TEST_P(EngineFamilies, ChunksNeverShowBeyondASplitOfTheAttentionEither) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  const Request request = random_request(2, 1100, 8);
  EngineOptions long_context = options(1100);
  long_context.context = 1200;
  World whole(model, test_device(), long_context);
  const Answer expected = whole.answer(request);
  for (const uint32_t rows : {64U, 500U, 511U, 513U}) {
    long_context.batch_rows = rows;
    World cut(model, test_device(2), long_context);
    EXPECT_TRUE(same_bits(cut.answer(request), expected)) << rows << " rows a step";
  }
}

TEST_P(EngineFamilies, NeighboursInTheBatchNeverShowInTheAnswer) {
  const std::string model = tiny_bytes(GetParam(), DType::Q8_0);
  World alone(model, test_device(), options(64));
  World crowd(model, test_device(2), options(64, 9));
  std::map<RequestId, Answer> expected;
  for (uint32_t i = 0; i < 9; ++i) {
    const Request request = random_request(i, 1 + 17 * i, 5 + 3 * i);
    expected[crowd.submit(request)] = alone.answer(request);
  }
  crowd.finish();
  ASSERT_EQ(crowd.answers.size(), 9U);
  for (const auto& [id, answer] : crowd.answers) {
    EXPECT_TRUE(same_bits(answer, expected[id.first])) << "request " << id.first;
  }
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
  World world(model, test_device(), options(64));
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
  World world(tiny_bytes(GetParam(), DType::Q8_0), test_device(), options(64));
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
  World world_{tiny_bytes(Family::llama, DType::F32), test_device(), options(64, 2)};
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
  world_.step();
  world_.engine->cancel(gone);
  world_.finish();
  EXPECT_EQ((world_.answers[{gone, 0}].finished), FinishReason::cancelled);
  EXPECT_EQ((world_.answers[{stays, 0}].finished), FinishReason::length);
  EXPECT_EQ(world_.answer(other).tokens.size(), 10U);
}

TEST_F(EngineTest, MoreRequestsThanSequencesWaitTheirTurn) {
  for (uint32_t i = 0; i < 7; ++i) ASSERT_TRUE(world_.engine->submit(random_request(i, 10 + i, 5)));
  world_.finish();
  ASSERT_EQ(world_.answers.size(), 7U);
  for (const auto& [id, answer] : world_.answers) EXPECT_EQ(answer.tokens.size(), 5U);
}

TEST(Engine, AContextBeyondMemoryIsRefusedWithBytesNeededAndFree) {
  const std::string bytes = tiny_bytes(Family::llama, DType::F32);
  MemoryLedger ledger(4 << 20);
  const ModelFile file = GgufFile::parse("tiny", testing::as_bytes(bytes)).value();
  auto backend = test_device();
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
  auto backend = test_device();
  auto model = load_model(file, *backend, ledger).value();
  const auto engine =
      Engine::create(std::move(backend), std::move(model), ledger, {.context = 0, .batch_rows = 512});
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_GE((*engine)->context(), 64U);
  EXPECT_LT((*engine)->context(), (*engine)->model().info().context_length);
}

TEST(Engine, TwoEnginesInOneProcessDoNotMeet) {
  World a(tiny_bytes(Family::llama, DType::F32), test_device(), options(64));
  World b(tiny_bytes(Family::gemma3, DType::Q8_0), test_device(), options(64));
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
    auto backend = test_device();
    auto model = load_model(file, *backend, ledger).value();
    const auto engine = Engine::create(std::move(backend), std::move(model), ledger, options(64)).value();
    EXPECT_GT(ledger.used(), 0U);
  }
  EXPECT_EQ(ledger.used(), 0U);
}

TEST(Generate, AStopStringEndsTheTextBeforeItAndAcrossTokens) {
  World world(tiny_bytes(Family::llama, DType::F32), test_device(), options(64));
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
