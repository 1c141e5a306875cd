// Drafts change how fast answers come and nothing else: whatever is drafted, tokens and log-probabilities are
// those of plain decoding.
#include "engine/testing/speculation_world.h"
#include "schedule/exspec.h"

namespace headrace {
namespace {

using namespace engine_testing;

TEST_P(SpeculationTest, AnswersAreThoseOfPlainDecodingForEveryLengthAndBatch) {
  const std::vector<Request> requests = repeating_requests(12, 24);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t wrong : {0U, 1U, 2U, 5U}) {
    for (const uint32_t most : {1U, 2U, 3U, 5U, 8U}) {
      for (const uint32_t sequences : {1U, 3U, 12U}) {
        if (kSlow && (wrong + most + sequences) % 5 != 0) continue;
        EngineOptions o = many(sequences);
        o.speculation = {oracle(requests, expected, wrong), most, false};
        const EngineStats stats = expect_same(o, requests, expected);
        EXPECT_GT(stats.drafts.tokens, 100U) << wrong << " " << most << " " << sequences;
        if (wrong <= 1) {
          EXPECT_EQ(stats.drafts.accepted, wrong == 0 ? stats.drafts.tokens : 0U);
        }
      }
    }
  }
}

TEST_P(SpeculationTest, TreesChangeNoAnswer) {
  const std::vector<Request> requests = repeating_requests(12, 40);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t wrong : {0U, 3U, 8U}) {
    for (const uint32_t sequences : {1U, 5U}) {
      for (const bool automatic : {false, true}) {
        if (kSlow && (automatic || wrong == 8)) continue;
        EngineOptions o = many(sequences, sequences == 1 ? 0 : 256);
        o.speculation = {oracle(requests, expected, wrong), 12, automatic, 4};
        const EngineStats stats = expect_same(o, requests, expected);
        if (automatic) continue;  // how many pay is a matter of time
        EXPECT_GT(stats.drafts.accepted, 50U) << wrong << " " << sequences;
        EXPECT_LT(stats.drafts.accepted, stats.drafts.tokens);
      }
    }
  }
}

TEST_P(SpeculationTest, ADraftThatIsAlwaysRightBringsOneTokenMoreThanItHas) {
  std::vector<Request> requests = repeating_requests(1, 31);
  requests[0].max_new_tokens = 31;  // the first comes with the prompt
  const std::vector<Answer> expected = plain(requests);
  ASSERT_EQ(expected[0].tokens.size(), 31U);
  for (const uint32_t most : {1U, 2U, 4U, 5U}) {
    EngineOptions o = many(1);
    o.speculation = {oracle(requests, expected, 0), most, false};
    const EngineStats stats = expect_same(o, requests, expected);
    EXPECT_EQ(stats.steps, 1 + 30 / (most + 1)) << most;
  }
}

TEST_P(SpeculationTest, PreemptionChunksAndTheCacheGoTogetherWithDrafts) {
  const std::vector<Request> requests = repeating_requests(10, 40);
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = many(6, 192);
  o.batch_rows = 16;
  o.speculation = {oracle(requests, expected, 4), 6, false};
  World w = world(o);
  StepLimits limits = w.engine->limits();
  limits.chunk = 7;
  w.engine->set_limits(limits);
  for (uint32_t round = 0; round < 2; ++round) {  // the second finds prefixes
    w.answers.clear();
    for (const Request& request : requests) w.submit(request);
    w.finish();
    for (uint32_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits((w.answers[{round * 10 + i + 1, 0}]), expected[i])) << round << " " << i;
    }
  }
  EXPECT_GT(w.engine->stats().preemptions, 0U);
  EXPECT_GT(w.engine->stats().drafts.accepted, 0U);
}

TEST_P(SpeculationTest, AnEndTokenInsideADraftEndsTheAnswerThere) {
  std::vector<Request> requests = repeating_requests(4, 24);
  std::vector<Answer> expected = plain(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto at = static_cast<ptrdiff_t>(7 + i);
    requests[i].end_tokens = {expected[i].tokens[static_cast<size_t>(at)]};
  }
  const std::vector<Answer> shorter = plain(requests);
  EngineOptions o = many(2);
  o.speculation = {oracle(requests, expected, 0), 8, false};  // drafts go on past the end
  expect_same(o, requests, shorter);
  for (const Answer& answer : shorter) EXPECT_EQ(answer.finished, FinishReason::end_token);
}

TEST_P(SpeculationTest, TheContextsEndIsNotOverrun) {
  std::vector<Request> requests = repeating_requests(2, 400);
  for (Request& request : requests) request.max_new_tokens = 400;
  const std::vector<Answer> expected = plain(requests);
  EXPECT_EQ(expected[0].finished, FinishReason::context);
  EngineOptions o = many(2);
  o.speculation = {oracle(requests, expected, 3), 8, false};
  expect_same(o, requests, expected);
}

TEST_P(SpeculationTest, BranchesReadWhatIsBeforeThemOnce) {
  const std::vector<Request> requests = {random_request(1, 130, 20), random_request(2, 70, 20)};
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = many(2);
  o.speculation = {oracle(requests, expected, 3), 9, false, 4};
  EXPECT_GT(expect_same(o, requests, expected).saved_keys, 0U);
  o.speculation.branches = 1;
  EXPECT_EQ(expect_same(o, requests, expected).saved_keys, 0U);
}

TEST_P(SpeculationTest, AutomaticLengthsLeaveAnswersAlone) {
  const std::vector<Request> requests = repeating_requests(12, 40);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t wrong : {0U, 2U}) {
    EngineOptions o = many(4);
    o.speculation = {oracle(requests, expected, wrong), 8, true};
    EXPECT_GT(expect_same(o, requests, expected).drafts.tokens, 0U);
  }
}

TEST_P(SpeculationTest, HiddenStatesOfAcceptedRowsAreSeenOnce) {
  struct Observer final : LayerObserver {
    std::map<std::pair<uint32_t, uint32_t>, std::vector<float>> rows;  // by position and layer
    bool twice = false;
    bool wants(RequestId) const override { return true; }
    void see(RequestId, uint32_t, uint32_t position, uint32_t layer, std::span<const float> hidden) override {
      twice |= !rows.emplace(std::pair(position, layer), std::vector(hidden.begin(), hidden.end())).second;
    }
  };
  const std::vector<Request> requests = repeating_requests(1, 24);
  const std::vector<Answer> expected = plain(requests);
  Observer alone;
  Observer drafted;
  EngineOptions o = many(1);
  o.observer = &alone;
  expect_same(o, requests, expected);
  o.observer = &drafted;
  for (const uint32_t branches : {1U, 4U}) {
    drafted.rows.clear();
    o.speculation = {oracle(requests, expected, 3), 9, false, branches};
    expect_same(o, requests, expected);
    EXPECT_FALSE(drafted.twice);
    EXPECT_EQ(drafted.rows, alone.rows) << branches;
  }
}

// The ladder: with fewer and fewer pages drafts get shorter, then none is checked, then sequences are
// preempted.
TEST_P(SpeculationTest, AShrinkingBudgetTakesDraftsFirstAndChangesNoToken) {
  const std::vector<Request> requests = repeating_requests(6, 60);
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = many(6, 6 * 160);
  o.speculation = {oracle(requests, expected, 0), 8, false};
  World w = world(o);
  for (const Request& request : requests) w.submit(request);
  uint64_t tokens = 6 * 160;
  std::vector<uint64_t> drafted_at_preemption;
  while (!w.engine->idle()) {
    StepLimits limits = w.engine->limits();
    limits.kv_tokens = tokens = std::max<uint64_t>(160, tokens * 9 / 10);
    w.engine->set_limits(limits);
    const EngineStats before = w.engine->stats();
    w.step();
    const EngineStats after = w.engine->stats();
    if (after.preemptions > before.preemptions)
      drafted_at_preemption.push_back(after.drafts.tokens - before.drafts.tokens);
  }
  for (uint32_t i = 0; i < requests.size(); ++i) {
    EXPECT_TRUE(same_bits((w.answers[{i + 1, 0}]), expected[i])) << i;
  }
  ASSERT_FALSE(drafted_at_preemption.empty());
  EXPECT_GT(w.engine->stats().drafts.accepted, 0U);
  // Who takes pages from others has none to spare for drafts of all.
  EXPECT_LT(drafted_at_preemption.front(), 6U * 8U);
}

TEST_P(SpeculationTest, MemoryIsBookedToTheByte) {
  EngineOptions o = many(4);
  o.speculation = {model(6), 4, false};
  const std::string bytes = tiny_bytes(GetParam(), DType::Q8_0);
  const ModelFile file = GgufFile::parse("tiny", headrace::testing::as_bytes(bytes)).value();
  const auto make = [&](uint64_t cap, uint64_t& used) {
    MemoryLedger ledger(cap);
    auto backend = test_device(1);
    auto loaded = load_model(file, *backend, ledger);
    if (!loaded) return Status(loaded.error());
    auto engine = Engine::create(std::move(backend), std::move(loaded).value(), ledger, o);
    used = ledger.used();
    return engine ? Status() : Status(engine.error());
  };
  uint64_t used = 0;
  ASSERT_TRUE(make(uint64_t{1} << 32, used));
  uint64_t again = 0;
  EXPECT_TRUE(make(used, again));
  EXPECT_EQ(again, used);
  const Status refused = make(used - 1, again);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_budget);
}

// Counts how often a text of the same length was asked about again.
class CountingDrafter final : public Drafter {
 public:
  CountingDrafter(std::unique_ptr<Drafter> inner, uint64_t& again)
      : inner_(std::move(inner)), again_(again) {}

  std::string_view name() const override { return "counting"; }
  void propose(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& request : requests) {
      size_t& last = lengths_[request.sequence];
      again_ += last == request.tokens.size() ? 1 : 0;
      last = request.tokens.size();
    }
    inner_->propose(requests);
  }
  void forget(uint64_t sequence) override { inner_->forget(sequence); }

 private:
  std::unique_ptr<Drafter> inner_;
  uint64_t& again_;
  std::map<uint64_t, size_t> lengths_;
};

TEST_P(SpeculationTest, WhoWaitsForItsTurnInAPoolKeepsItsDraft) {
  const std::vector<Request> requests = repeating_requests(8, 30);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t batch : {1U, 3U}) {
    uint64_t again = 0;
    EngineOptions o = many(6);
    o.policy = std::make_shared<ExspecPool>(batch);
    o.speculation = {
        [&](const DrafterWorld& world) -> Result<std::unique_ptr<Drafter>> {
          HEADRACE_TRY(auto drafter, model(5)(world));
          return std::unique_ptr<Drafter>(std::make_unique<CountingDrafter>(std::move(drafter), again));
        },
        4, false};
    const EngineStats stats = expect_same(o, requests, expected);
    EXPECT_EQ(stats.drafts.accepted, stats.drafts.tokens);
    EXPECT_GT(stats.drafts.tokens, 50U);
    EXPECT_EQ(again, 0U) << batch;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SpeculationTest, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

}  // namespace
}  // namespace headrace
