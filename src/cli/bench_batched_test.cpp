#include "cli/bench_batched.h"

#include <gtest/gtest.h>

#include "cli/bench_speed.h"
#include "engine/testing/engine_world.h"

namespace headrace::cli {
namespace {

using engine_testing::Family;
using engine_testing::test_device;
using engine_testing::tiny_bytes;
using engine_testing::World;

constexpr uint32_t kPageTokens = 64;

EngineOptions room_for(const BatchedCase& batched, uint32_t rows) {
  return {.context = batched.context(),
          .sequences = batched.pl,
          .kv_tokens = std::max<uint64_t>(batched.kv_tokens_in_pages(kPageTokens), batched.context()),
          .batch_rows = rows,
          .policy = std::make_shared<Lockstep>()};
}

// Submits what measure_batched() submits, and counts.
struct Counted {
  uint64_t reading = 0;             // rows until everybody has a token
  std::vector<uint32_t> answering;  // rows of each step after that
  uint64_t preemptions = 0;
};
Counted count(Family family, const BatchedCase& batched, uint32_t rows) {
  World world(tiny_bytes(family, DType::F32), test_device(), room_for(batched, rows));
  Engine& engine = *world.engine;
  StepLimits limits = engine.limits();
  limits.prefix_cache = batched.shared;
  engine.set_limits(limits);
  for (uint32_t i = 0; i < batched.pl; ++i) {
    Request request;
    request.prompt = tokens_for_bench(engine, std::nullopt, batched.pp, batched.shared ? 0 : i);
    request.max_new_tokens = batched.tg + 1;
    request.sampling.temperature = 0;
    world.submit(request);
  }
  Counted counted;
  std::vector<Event> events;
  while (events.size() < batched.pl) engine.step(events);
  EXPECT_EQ(events.size(), batched.pl) << "an answer began before all prompts were read";
  counted.reading = engine.stats().rows;
  while (!engine.idle()) {
    engine.step(events);
    counted.answering.push_back(engine.stats().last_step_rows);
  }
  counted.preemptions = engine.stats().preemptions;
  return counted;
}

TEST(Lockstep, PromptsAreReadBeforeAnswersBeginAndThenAllGrowTogether) {
  for (const Family family : {Family::llama, Family::gemma3}) {
    for (const uint32_t pp : {1U, 7U, 20U, 65U}) {
      // With 13 rows a step prompts end in the middle of steps, also with one token left.
      const BatchedCase batched = {.pp = pp, .tg = 5, .pl = 6};
      const Counted counted = count(family, batched, 13);
      EXPECT_EQ(counted.reading, uint64_t{6} * pp) << pp;
      EXPECT_EQ(counted.answering, std::vector<uint32_t>(5, 6)) << pp;
      EXPECT_EQ(counted.preemptions, 0U);
    }
  }
}

TEST(Lockstep, ASharedPromptIsComputedOnce) {
  for (const uint32_t pp : {64U, 100U, 130U}) {
    const BatchedCase batched = {.pp = pp, .tg = 4, .pl = 20, .shared = true};
    const Counted counted = count(Family::llama, batched, 512);
    // And its last token by each.
    EXPECT_EQ(counted.reading, pp + 19) << pp;
    EXPECT_EQ(counted.answering, std::vector<uint32_t>(4, 20)) << pp;
    EXPECT_EQ(counted.preemptions, 0U);
  }
}

TEST(BatchedCase, TokensHeldAreLlamaBatchedBenchs) {
  EXPECT_EQ((BatchedCase{.pp = 100, .tg = 10, .pl = 4}).kv_tokens(), 440U);
  EXPECT_EQ((BatchedCase{.pp = 100, .tg = 10, .pl = 4, .shared = true}).kv_tokens(), 140U);
}

TEST(BatchedReport, TheTableLooksLikeLlamaBatchedBenchs) {
  const BatchedSettings settings = {.n_kv_max = 512, .n_batch = 2048, .n_ubatch = 512, .n_threads = 2};
  const BatchedResult result = {
      .batched = {.pp = 16, .tg = 4, .pl = 2}, .pp_seconds = 0.5, .tg_seconds = 0.25};
  // clang-format off
  EXPECT_EQ(batched_header(settings) + batched_line(result),
R"(n_kv_max = 512, n_batch = 2048, n_ubatch = 512, is_pp_shared = 0, n_threads = 2

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|    16 |      4 |    2 |     40 |    0.500 |    64.00 |    0.250 |    32.00 |    0.750 |    53.33 |
)");
  // clang-format on
}

TEST(BatchedReport, JsonHasLlamaBatchedBenchsFieldsInItsOrder) {
  const BatchedResult result = {
      .batched = {.pp = 16, .tg = 4, .pl = 2, .shared = true}, .pp_seconds = 0.5, .tg_seconds = 0.25};
  const Json json = Json::parse(batched_json({}, {.shared = true}, result));
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  const std::vector<std::string> expected = {"n_kv_max",
                                             "n_batch",
                                             "n_ubatch",
                                             "flash_attn",
                                             "is_pp_shared",
                                             "n_gpu_layers",
                                             "n_threads",
                                             "n_threads_batch",
                                             "pp",
                                             "tg",
                                             "pl",
                                             "n_kv",
                                             "t_pp",
                                             "speed_pp",
                                             "t_tg",
                                             "speed_tg",
                                             "t",
                                             "speed"};
  ASSERT_GT(names.size(), expected.size());
  names.resize(expected.size());
  EXPECT_EQ(names, expected);
  EXPECT_EQ(json["is_pp_shared"], 1);
  EXPECT_EQ(json["n_kv"], 24);
  EXPECT_DOUBLE_EQ(json["speed_pp"].get<double>(), 32);  // a shared prompt counts once
}

}  // namespace
}  // namespace headrace::cli
