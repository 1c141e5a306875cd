// Many requests at once: prefixes, preemption, choices, priorities, deadlines. Whatever happens to a request,
// its tokens and log-probabilities are those that it has alone.
#include "engine/testing/engine_world.h"

namespace headrace {
namespace {

using namespace engine_testing;

class EngineBatch : public ::testing::TestWithParam<Family> {
 protected:
  World world(const EngineOptions& o, size_t threads = 1) {
    return World(tiny_bytes(GetParam(), DType::Q8_0), test_device(threads), o);
  }
};

TEST_P(EngineBatch, AnAnswerIsTheSameFromTheCacheAtEveryLength) {
  World w = world(many(1));
  const Request request = random_request(1, 70, 6);
  const Answer cold = w.cold_answer(request);
  EXPECT_EQ(cold.report.reuse.tokens, 0U);
  for (const size_t shared : {1U, 15U, 16U, 17U, 31U, 48U, 63U, 69U}) {
    Request warm = random_request(2, 3, 2);
    warm.prompt.insert(warm.prompt.begin(), request.prompt.begin(),
                       request.prompt.begin() + static_cast<ptrdiff_t>(shared));
    w.cold_answer(warm);
    const Answer again = w.answer(request);
    EXPECT_TRUE(same_bits(again, cold)) << shared;
    EXPECT_GE(again.report.reuse.tokens, shared);
  }
  const Answer whole = w.answer(request);
  EXPECT_TRUE(same_bits(whole, cold));
  EXPECT_EQ(whole.report.reuse.tokens, 69U);
  EXPECT_EQ(whole.report.reuse.limit, ReuseLimit::whole);
}

TEST_P(EngineBatch, AConversationComputesOnlyWhatIsNew) {
  World w = world(many(1));
  Request request = random_request(1, 40, 20);
  const Answer first = w.answer(request);
  request.prompt.insert(request.prompt.end(), first.tokens.begin(), first.tokens.end());
  for (int32_t token = 30; token < 40; ++token) request.prompt.push_back(token);
  const uint64_t before = w.engine->stats().prompt_rows;
  const Answer second = w.answer(request);
  // Its last token was drawn and never computed.
  EXPECT_EQ(second.report.reuse.tokens, 59U);
  EXPECT_EQ(w.engine->stats().prompt_rows - before, 11U);
  EXPECT_TRUE(same_bits(w.cold_answer(request), second));
}

TEST_P(EngineBatch, PromptsThatArriveTogetherComputeTheirPrefixOnce) {
  World w = world(many(8));
  const Request shared = random_request(9, 75, 0);
  std::vector<Request> requests;
  size_t own = 0;
  for (uint32_t i = 0; i < 8; ++i) {
    Request request = random_request(100 + i, 3 + i, 4);
    own += request.prompt.size();
    request.prompt[0] = static_cast<int32_t>(20 + i);  // they differ from here on
    request.prompt.insert(request.prompt.begin(), shared.prompt.begin(), shared.prompt.end());
    requests.push_back(request);
    w.submit(request);
  }
  w.finish();
  EXPECT_EQ(w.engine->stats().prompt_rows, 75 + own);
  auto found = w.answers;
  for (uint32_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(same_bits(w.cold_answer(requests[i]), (found[{i + 1, 0}]))) << i;
  }
}

TEST_P(EngineBatch, KeysReadOnceForManyGiveTheBitsOfEachAlone) {
  for (const size_t shared : {64U, 130U, 530U}) {
    EngineOptions o = many(5);
    o.context = 800;
    World w = world(o, 2);
    const Request root = random_request(9, shared, 0);
    const Request branch = random_request(10, 90, 0);
    std::vector<Request> requests;
    for (uint32_t i = 0; i < 5; ++i) {
      Request request = random_request(100 + i, 3 + 5 * i, 6);
      request.prompt[0] = static_cast<int32_t>(20 + i);  // they differ from here on
      if (i >= 2) request.prompt.insert(request.prompt.begin(), branch.prompt.begin(), branch.prompt.end());
      request.prompt.insert(request.prompt.begin(), root.prompt.begin(), root.prompt.end());
      requests.push_back(std::move(request));
    }
    const auto answer_all = [&](bool share) {
      StepLimits limits = w.engine->limits();
      limits.share_keys = share;
      w.engine->set_limits(limits);
      w.engine->clear_cache();
      w.answers.clear();
      const uint64_t before = w.engine->stats().saved_keys;
      std::vector<Answer> answers;
      std::vector<RequestId> ids;
      for (const Request& request : requests) ids.push_back(w.submit(request));
      w.finish();
      for (const RequestId id : ids) answers.push_back(w.answers[{id, 0}]);
      EXPECT_EQ(w.engine->stats().saved_keys > before, share);
      return answers;
    };
    const std::vector<Answer> together = answer_all(true);
    const std::vector<Answer> apart = answer_all(false);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits(together[i], apart[i])) << shared << ", request " << i;
      EXPECT_TRUE(same_bits(together[i], w.cold_answer(requests[i]))) << shared << ", request " << i;
    }
  }
}

TEST_P(EngineBatch, WithTheCacheOffEveryPromptIsComputed) {
  World w = world(many(2));
  StepLimits limits = w.engine->limits();
  limits.prefix_cache = false;
  w.engine->set_limits(limits);
  const Request request = random_request(1, 50, 3);
  const Answer first = w.answer(request);
  const Answer second = w.answer(request);
  EXPECT_TRUE(same_bits(first, second));
  EXPECT_EQ(second.report.reuse.limit, ReuseLimit::off);
  EXPECT_EQ(w.engine->stats().prompt_rows, 100U);
}

TEST_P(EngineBatch, PreemptedAnswersAreTheAnswersGivenAlone) {
  World w = world(many(6, 160));
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 6; ++i) requests.push_back(random_request(i, 20 + i, 60));
  for (const Request& request : requests) w.submit(request);
  w.finish();
  EXPECT_GT(w.engine->stats().preemptions, 0U);
  uint32_t preempted = 0;
  auto found = w.answers;
  for (uint32_t i = 0; i < 6; ++i) {
    const Answer& answer = found[{i + 1, 0}];
    preempted += answer.report.preemptions;
    EXPECT_EQ(answer.finished, FinishReason::length);
    EXPECT_TRUE(same_bits(w.cold_answer(requests[i]), answer)) << i;
  }
  EXPECT_EQ(preempted, w.engine->stats().preemptions);
}

TEST_P(EngineBatch, ScoresSurvivePreemptionAndTheCache) {
  World w = world(many(4, 160));
  Request score = random_request(1, 120, 0);
  score.score_from = 5;
  score.priority = -1;
  const Answer alone = w.cold_answer(score);
  ASSERT_EQ(alone.logprobs.size(), 115U);
  w.engine->clear_cache();
  StepLimits limits = w.engine->limits();
  limits.chunk = 9;
  w.engine->set_limits(limits);
  const RequestId id = w.submit(score);
  for (int i = 0; i < 4; ++i) w.step();
  for (uint32_t i = 0; i < 3; ++i) {
    Request rival = random_request(50 + i, 60, 40);
    rival.priority = 5;
    w.submit(rival);
  }
  w.finish();
  EXPECT_GT((w.answers[{id, 0}].report.preemptions), 0U);
  EXPECT_TRUE(same_bits((w.answers[{id, 0}]), alone));
  // What is to be scored is computed, cached or not.
  const Answer again = w.answer(score);
  EXPECT_TRUE(same_bits(again, alone));
  EXPECT_EQ(again.report.reuse.tokens, 4U);
  EXPECT_EQ(again.report.reuse.limit, ReuseLimit::outputs);
}

TEST_P(EngineBatch, ChoicesShareTheirPromptAndDrawAsIfAlone) {
  World w = world(many(4));
  Request request = random_request(3, 45, 10);
  request.n = 4;
  const RequestId id = w.submit(request);
  w.finish();
  // The prompt once, and its last token for each further choice.
  EXPECT_EQ(w.engine->stats().prompt_rows, 45U + 3);
  request.n = 1;
  for (uint32_t choice = 0; choice < 4; ++choice) {
    request.sampling.choice = choice;
    EXPECT_TRUE(same_bits(w.cold_answer(request), (w.answers[{id, choice}]))) << choice;
  }
  EXPECT_FALSE(same_bits((w.answers[{id, 0}]), (w.answers[{id, 1}])));
}

TEST_P(EngineBatch, ThreadsOrderAndLimitsNeverShow) {
  World alone = world(many(1));
  World crowd = world(many(6, 320), 2);
  std::map<RequestId, Answer> expected;
  std::mt19937 random(4);
  for (uint32_t i = 0; i < 30; ++i) {
    Request request = random_request(i % 11, 1 + random() % 90, 1 + static_cast<uint32_t>(random() % 30));
    request.priority = static_cast<int32_t>(random() % 3);
    expected[crowd.submit(request)] = alone.answer(request);
    crowd.engine->set_limits({.rows = 6 + static_cast<uint32_t>(random() % 58),
                              .chunk = static_cast<uint32_t>(random() % 20),
                              .sequences = 1 + static_cast<uint32_t>(random() % 6),
                              .decode_threads = 1 + static_cast<uint32_t>(random() % 2)});
    for (uint32_t steps = random() % 4; steps > 0; --steps) crowd.step();
  }
  crowd.finish();
  for (const auto& [id, answer] : expected) EXPECT_TRUE(same_bits((crowd.answers[{id, 0}]), answer)) << id;
}

INSTANTIATE_TEST_SUITE_P(Families, EngineBatch, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

class EngineLine : public ::testing::Test {
 protected:
  World world(EngineOptions o) {
    o.clock_ms = [this] { return now_ms_; };
    return World(tiny_bytes(Family::llama, DType::F32), test_device(), o);
  }
  int64_t now_ms_ = 1000;
};

TEST_F(EngineLine, AHigherPriorityGoesFirst) {
  World w = world(many(1));
  const RequestId low = w.submit(random_request(1, 10, 8));
  Request urgent = random_request(2, 10, 8);
  urgent.priority = 3;
  w.step();
  const RequestId high = w.submit(urgent);
  std::vector<RequestId> ended;
  while (!w.engine->idle()) {
    for (const Event& e : w.step()) {
      if (e.finished != FinishReason::none) ended.push_back(e.request);
    }
  }
  EXPECT_EQ(ended, (std::vector<RequestId>{high, low}));
  EXPECT_EQ((w.answers[{low, 0}].report.preemptions), 1U);
}

TEST_F(EngineLine, NobodyWaitsForEver) {
  World w = world(many(1));
  const RequestId patient = w.submit(random_request(1, 10, 2));
  uint32_t seed = 2;
  // One of higher priority is always there.
  for (int step = 0; step < 400 && w.answers[{patient, 0}].finished == FinishReason::none; ++step) {
    Request rival = random_request(seed++, 4, 2);
    rival.priority = 2;
    if (w.engine->stats().waiting < 3) w.submit(rival);
    w.step();
  }
  EXPECT_EQ((w.answers[{patient, 0}].finished), FinishReason::length);
}

TEST_F(EngineLine, ADeadlineEndsARequestThatRunsAndOneThatWaits) {
  World w = world(many(1));
  Request request = random_request(1, 10, 100);
  request.deadline_ms = 50;
  const RequestId runs = w.submit(request);
  const RequestId waits = w.submit(request);
  w.step();
  now_ms_ += 49;
  w.step();
  EXPECT_EQ((w.answers[{runs, 0}].finished), FinishReason::none);
  now_ms_ += 1;
  w.step();
  EXPECT_EQ((w.answers[{runs, 0}].finished), FinishReason::expired);
  EXPECT_EQ((w.answers[{waits, 0}].finished), FinishReason::expired);
  EXPECT_TRUE(w.engine->idle());
}

TEST_F(EngineLine, OneChoiceIsCancelledAndTheOthersGoOn) {
  World w = world(many(3));
  Request request = random_request(1, 10, 10);
  request.n = 3;
  const RequestId id = w.submit(request);
  w.step();
  w.engine->cancel(id, 1);
  w.finish();
  EXPECT_EQ((w.answers[{id, 0}].tokens.size()), 10U);
  EXPECT_EQ((w.answers[{id, 1}].finished), FinishReason::cancelled);
  EXPECT_EQ((w.answers[{id, 2}].tokens.size()), 10U);
}

TEST_F(EngineLine, SaltsKeepTenantsApart) {
  World w = world(many(1));
  Request request = random_request(1, 40, 2);
  request.cache_salt = 1;
  w.answer(request);
  request.cache_salt = 2;
  EXPECT_EQ(w.answer(request).report.reuse.tokens, 0U);
  request.cache_salt = 1;
  EXPECT_EQ(w.answer(request).report.reuse.tokens, 39U);
}

TEST_F(EngineLine, RefusesParametersThatMeanNothing) {
  World w = world(many(1));
  Request request = random_request(1, 4, 1);
  request.n = 0;
  EXPECT_FALSE(w.engine->submit(request));
  request.n = kMaxChoices + 1;
  EXPECT_FALSE(w.engine->submit(request));
  request.n = 1;
  request.priority = kMaxPriority + 1;
  EXPECT_FALSE(w.engine->submit(request));
  request.priority = 0;
  request.deadline_ms = -1;
  EXPECT_FALSE(w.engine->submit(request));
}

TEST_F(EngineLine, AnObserverSeesEveryLayerOfItsRequest) {
  struct Eyes final : LayerObserver {
    std::map<uint32_t, uint32_t> rows;  // by layer
    bool wants(RequestId request) const override { return request == 2; }
    void see(RequestId, uint32_t, uint32_t, uint32_t layer, std::span<const float> hidden) override {
      EXPECT_EQ(hidden.size(), 64U);
      ++rows[layer];
    }
  } eyes;
  EngineOptions o = many(2);
  o.observer = &eyes;
  World w = world(o);
  w.submit(random_request(1, 10, 3));
  w.submit(random_request(2, 20, 3));
  w.finish();
  EXPECT_EQ(eyes.rows, (std::map<uint32_t, uint32_t>{{0, 22}, {1, 22}}));
}

}  // namespace
}  // namespace headrace
