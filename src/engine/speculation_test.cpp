// Drafts change how fast answers come and nothing else: whatever is drafted, tokens and log-probabilities are
// those of plain decoding.
#include "decode/ngram_drafter.h"
#include "engine/self_drafter.h"
#include "engine/testing/draft_world.h"
#include "schedule/exspec.h"

namespace headrace {
namespace {

using namespace engine_testing;

#ifdef HEADRACE_TEST_FAKE_DEVICE
constexpr bool kSlow = true;  // a tenth of the combinations will do
#else
constexpr bool kSlow = false;
#endif

// Knows the texts and gets each token wrong one time in `wrong`; 0: never.
class OracleDrafter final : public Drafter {
 public:
  OracleDrafter(std::vector<std::vector<int32_t>> texts, uint32_t wrong)
      : texts_(std::move(texts)), wrong_(wrong) {}

  std::string_view name() const override { return "oracle"; }
  void propose(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& request : requests) {
      const auto known = std::ranges::find_if(texts_, [&](const std::vector<int32_t>& text) {
        return text.size() > request.tokens.size() &&
               std::ranges::equal(std::span(text).first(request.tokens.size()), request.tokens);
      });
      if (known == texts_.end()) continue;
      int32_t parent = Draft::kText;
      uint32_t left = request.most;
      for (uint32_t i = 0; left > 0 && request.tokens.size() + i < known->size(); ++i) {
        const int32_t right = (*known)[request.tokens.size() + i];
        const bool lies = wrong_ != 0 && random_() % wrong_ == 0;
        // Wrong turns before and after the right one, some of them going on for a while.
        const bool forks = request.draft->leaves() + 1 < request.branches && left > 3;
        if (forks && random_() % 2 == 0) left -= stray(*request.draft, parent, right ^ 2);
        const int32_t here = parent;
        parent = request.draft->add(lies ? right ^ 1 : right, parent, 0);
        --left;
        if (forks && left > 2 && request.draft->leaves() + 1 < request.branches && random_() % 2 == 0)
          left -= stray(*request.draft, here, right ^ 4);
      }
    }
  }

 private:
  // One or two tokens that are not what follows; how many.
  uint32_t stray(Draft& draft, int32_t parent, int32_t token) {
    const int32_t first = draft.add(token, parent, 1);
    if (random_() % 2 == 0) return 1;
    draft.add(token ^ 1, first, 1);
    return 2;
  }

  std::vector<std::vector<int32_t>> texts_;
  uint32_t wrong_;
  std::mt19937 random_{1};
};

EngineOptions many(uint32_t sequences, uint64_t kv_tokens = 0) {
  EngineOptions o = options(64, sequences);
  o.context = 160;
  o.kv_tokens = kv_tokens;
  o.page_tokens = 16;
  return o;
}

class SpeculationTest : public ::testing::TestWithParam<Family> {
 protected:
  World world(const EngineOptions& o, size_t threads = 1) {
    return World(tiny_bytes(GetParam(), DType::Q8_0), test_device(threads), o);
  }
  std::vector<Answer> plain(std::span<const Request> requests) {
    World w = world(many(1));
    std::vector<Answer> answers;
    for (const Request& request : requests) answers.push_back(w.cold_answer(request));
    return answers;
  }
  static std::function<Result<std::unique_ptr<Drafter>>(const DrafterWorld&)> oracle(
      std::span<const Request> requests, std::span<const Answer> answers, uint32_t wrong) {
    std::vector<std::vector<int32_t>> texts;
    for (size_t i = 0; i < requests.size(); ++i) {
      texts.push_back(requests[i].prompt);
      texts.back().insert(texts.back().end(), answers[i].tokens.begin(), answers[i].tokens.end());
    }
    return [=](const DrafterWorld&) -> Result<std::unique_ptr<Drafter>> {
      return std::unique_ptr<Drafter>(std::make_unique<OracleDrafter>(texts, wrong));
    };
  }
  static Result<std::unique_ptr<Drafter>> ngram(const DrafterWorld&) {
    return make_ngram_drafter({.shortest = 1});
  }
  static DrafterMaker model(uint64_t seed, DType type = DType::Q8_0) {
    return draft_model(GetParam(), seed, type);
  }
  // All at once; returns what the engine counted.
  EngineStats expect_same(const EngineOptions& o, std::span<const Request> requests,
                          std::span<const Answer> expected) {
    World w = world(o);
    for (const Request& request : requests) w.submit(request);
    w.finish();
    for (uint32_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits(w.answers[{i + 1, 0}], expected[i])) << i;
      EXPECT_EQ((w.answers[{i + 1, 0}].finished), expected[i].finished) << i;
    }
    return w.engine->stats();
  }
};

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

TEST_P(SpeculationTest, ADraftModelThatIsTheModelIsAlwaysRight) {
  const std::vector<Request> requests = repeating_requests(9, 31);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t sequences : {1U, 4U, 9U}) {
    for (const uint32_t most : {1U, 3U, 5U}) {
      if (kSlow && most != sequences - 1) continue;
      EngineOptions o = many(sequences);
      o.speculation = {model(5), most, false};
      const EngineStats stats = expect_same(o, requests, expected);
      EXPECT_GT(stats.drafts.tokens, 50U);
      EXPECT_EQ(stats.drafts.accepted, stats.drafts.tokens) << sequences << " " << most;
    }
  }
}

TEST_P(SpeculationTest, TheModelItselfDraftsWithSomeOfItsLayers) {
  const std::vector<Request> requests = repeating_requests(9, 31);
  const std::vector<Answer> expected = plain(requests);
  for (const bool all : {true, false}) {
    for (const uint32_t sequences : {1U, 4U}) {
      EngineOptions o = many(sequences, 256);
      o.speculation = {[all](const DrafterWorld& world) {
                         std::vector<bool> layers(world.model.info().n_layers, true);
                         layers.back() = all;
                         return make_self_drafter(layers, world);
                       },
                       4, false};
      const EngineStats stats = expect_same(o, requests, expected);
      EXPECT_GT(stats.drafts.tokens, 50U);
      EXPECT_EQ(stats.drafts.accepted == stats.drafts.tokens, all);
    }
  }
}

TEST_P(SpeculationTest, AnotherDraftModelChangesNoAnswer) {
  const std::vector<Request> requests = repeating_requests(9, 31);
  const std::vector<Answer> expected = plain(requests);
  for (const uint64_t seed : {6U, 7U}) {
    EngineOptions o = many(4, 256);
    o.batch_rows = 16;
    o.speculation = {model(seed), 4, false};
    const EngineStats stats = expect_same(o, requests, expected);
    EXPECT_GT(stats.drafts.tokens, 50U);
    EXPECT_LT(stats.drafts.accepted, stats.drafts.tokens);
  }
}

// Counts drafts that branch.
class BranchCounter final : public Drafter {
 public:
  BranchCounter(std::unique_ptr<Drafter> inner, uint64_t& branched)
      : inner_(std::move(inner)), branched_(branched) {}

  std::string_view name() const override { return inner_->name(); }
  void propose(std::span<const DraftRequest> requests) override {
    inner_->propose(requests);
    for (const DraftRequest& request : requests) branched_ += request.draft->leaves() > 1 ? 1 : 0;
  }
  void forget(uint64_t sequence) override { inner_->forget(sequence); }

 private:
  std::unique_ptr<Drafter> inner_;
  uint64_t& branched_;
};

TEST_P(SpeculationTest, EveryDrafterMayBranchAndChangesNoAnswer) {
  const std::vector<Request> requests = repeating_requests(12, 40);
  const std::vector<Answer> expected = plain(requests);
  const DrafterMaker drafters[] = {
      [](const DrafterWorld&) -> Result<std::unique_ptr<Drafter>> {
        return make_ngram_drafter({.shortest = 1});
      },
      model(5, DType::F32),
      [](const DrafterWorld& world) {
        std::vector<bool> layers(world.model.info().n_layers, true);
        layers.back() = false;
        return make_self_drafter(layers, world);
      },
  };
  for (const DrafterMaker& drafter : drafters) {
    for (const uint32_t sequences : {1U, 5U}) {
      uint64_t branched = 0;
      EngineOptions o = many(sequences, sequences == 1 ? 0 : 512);
      o.speculation = {
          [&](const DrafterWorld& world) -> Result<std::unique_ptr<Drafter>> {
            HEADRACE_TRY(auto inner, drafter(world));
            return std::unique_ptr<Drafter>(std::make_unique<BranchCounter>(std::move(inner), branched));
          },
          9, false, 3};
      const EngineStats stats = expect_same(o, requests, expected);
      EXPECT_GT(stats.drafts.tokens, 50U);
      EXPECT_GT(branched, 10U);
    }
  }
}

// Forgets everybody after each round, so that texts are read anew.
class ForgetfulDrafter final : public Drafter {
 public:
  explicit ForgetfulDrafter(std::unique_ptr<Drafter> inner) : inner_(std::move(inner)) {}

  std::string_view name() const override { return "forgetful"; }
  void propose(std::span<const DraftRequest> requests) override {
    inner_->propose(requests);
    for (const DraftRequest& request : requests) inner_->forget(request.sequence);
  }
  void forget(uint64_t sequence) override { inner_->forget(sequence); }

 private:
  std::unique_ptr<Drafter> inner_;
};

TEST_P(SpeculationTest, ADraftModelDraftsFromItsKeptKeysAsFromTextsReadAnew) {
  std::vector<Request> requests = repeating_requests(6, 40);
  for (Request& request : requests) request.cache_salt = 1 + request.sampling.seed;  // nothing from the cache
  const std::vector<Answer> expected = plain(requests);
  const auto kept = model(5, DType::F32);  // like the target, and not quite
  const auto anew = [kept](const DrafterWorld& world) -> Result<std::unique_ptr<Drafter>> {
    HEADRACE_TRY(auto drafter, kept(world));
    return std::unique_ptr<Drafter>(std::make_unique<ForgetfulDrafter>(std::move(drafter)));
  };
  // Now and then some steps go without drafts, so that what was drafted last is no longer what followed.
  const auto counted = [&](const auto& drafter) {
    EngineOptions o = many(3);
    o.speculation = {drafter, 6, false};
    World w = world(o);
    for (const Request& request : requests) w.submit(request);
    for (uint32_t step = 0; !w.engine->idle(); ++step) {
      StepLimits limits = w.engine->limits();
      limits.drafts = step % 5 < 2;
      w.engine->set_limits(limits);
      w.step();
    }
    for (uint32_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits((w.answers[{i + 1, 0}]), expected[i])) << i;
    }
    return w.engine->stats().drafts;
  };
  const DraftCounters found = counted(kept);
  const DraftCounters wanted = counted(anew);
  EXPECT_EQ(found.tokens, wanted.tokens);
  EXPECT_EQ(found.accepted_at, wanted.accepted_at);
  EXPECT_GT(found.accepted, 20U);
  EXPECT_LT(found.accepted, found.tokens);
}

TEST_P(SpeculationTest, WhoGetsNoRowsIsAskedAgain) {
  const std::vector<Request> requests = repeating_requests(6, 20);
  const std::vector<Answer> expected = plain(requests);
  for (const bool automatic : {false, true}) {
    EngineOptions o = many(6);
    o.speculation = {model(5), 3, automatic};
    World w = world(o);
    StepLimits limits = w.engine->limits();
    limits.rows = 5;
    w.engine->set_limits(limits);
    for (const Request& request : requests) w.submit(request);
    w.finish();
    for (uint32_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits((w.answers[{i + 1, 0}]), expected[i])) << i;
    }
  }
}

TEST_P(SpeculationTest, ADraftModelWithAnotherVocabularyIsRefused) {
  const std::string bytes =
      tiny_bytes(GetParam() == Family::llama ? Family::gemma3 : Family::llama, DType::Q8_0);
  const auto file =
      std::make_shared<const ModelFile>(GgufFile::parse("draft", headrace::testing::as_bytes(bytes)).value());
  MemoryLedger ledger(uint64_t{1} << 32);
  auto backend = test_device(1);
  const std::string target = tiny_bytes(GetParam(), DType::Q8_0);
  const ModelFile target_file = GgufFile::parse("tiny", headrace::testing::as_bytes(target)).value();
  auto loaded = load_model(target_file, *backend, ledger).value();
  EngineOptions o = many(1);
  o.speculation.drafter = [file](const DrafterWorld& world) { return make_model_drafter(*file, world); };
  const auto made = Engine::create(std::move(backend), std::move(loaded), ledger, o);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("needs the same vocabulary"), std::string::npos);
}

TEST_P(SpeculationTest, DraftsFromTheTextItselfAreCheckedToo) {
  const std::vector<Request> requests = repeating_requests(8, 30);
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = many(4);
  o.speculation = {ngram, 4, false};
  const EngineStats stats = expect_same(o, requests, expected);
  EXPECT_GT(stats.drafts.tokens, 0U);
  EXPECT_LE(stats.drafts.accepted, stats.drafts.tokens);
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

// What may stand in three tokens, and how often it did.
struct Texts {
  std::map<std::vector<int32_t>, double> expected;  // probabilities
  std::map<std::vector<int32_t>, uint64_t> counts;
};

TEST_P(SpeculationTest, ByRejectionTextsAreDistributedAsThoseOfPlainDecoding) {
  const std::vector<int32_t> prompt = random_request(40, 12, 3).prompt;
  constexpr uint32_t kTop = 3;
  Texts texts;
  World exact = world(many(1));
  const auto extend = [&](auto& self, std::vector<int32_t> text, double probability) -> void {
    if (text.size() == prompt.size() + 3) {
      texts.expected[std::vector(text.begin() + static_cast<ptrdiff_t>(prompt.size()), text.end())] =
          probability;
      return;
    }
    Request request;
    request.prompt = text;
    request.max_new_tokens = 1;
    request.sampling.temperature = 0;
    request.sampling.logprobs = true;
    request.sampling.n_top_logprobs = kTop;
    exact.submit(request);
    std::vector<TokenLogprob> top;
    while (!exact.engine->idle()) {
      for (const Event& event : exact.step()) {
        if (event.has_token) top = event.draw.top;
      }
    }
    double total = 0;
    for (const TokenLogprob& of : top) total += std::exp(of.logprob);
    for (const TokenLogprob& of : top) {
      std::vector<int32_t> longer = text;
      longer.push_back(of.token);
      self(self, longer, probability * std::exp(of.logprob) / total);
    }
  };
  extend(extend, prompt, 1);
  ASSERT_EQ(texts.expected.size(), 27U);

  const uint32_t samples = kSlow ? 300 : 6000;
  // A stranger, and the target itself.
  for (const bool alike : {false, true}) {
    EngineOptions o = many(8);
    o.speculation = {model(alike ? 5 : 6), 2, false, 1, DraftRule::rejection};
    World w = world(o);
    texts.counts.clear();
    for (uint32_t seed = 0; seed < samples; ++seed) {
      Request request;
      request.prompt = prompt;
      request.max_new_tokens = 4;  // so that two tokens may be drafted after the first
      request.sampling.temperature = 1;
      request.sampling.top_k = kTop;
      request.sampling.top_p = 1;
      request.sampling.min_p = 0;
      request.sampling.seed = seed;
      w.submit(request);
      if (seed % 64 != 63 && seed + 1 != samples) continue;
      w.finish();
      for (const auto& [key, answer] : w.answers)
        ++texts.counts[std::vector(answer.tokens.begin(), answer.tokens.begin() + 3)];
      w.answers.clear();
    }
    double surprise = 0;
    for (const auto& [text, probability] : texts.expected) {
      const double expected = probability * samples;
      const double difference = static_cast<double>(texts.counts[text]) - expected;
      surprise += difference * difference / expected;
    }
    EXPECT_LE(texts.counts.size(), texts.expected.size());  // nothing else came
    EXPECT_LT(surprise, 45.6) << alike;                     // chi-square, 26 degrees of freedom, p = 0.01
    const DraftCounters counters = w.engine->stats().drafts;
    EXPECT_GT(counters.tokens, samples);
    EXPECT_GT(counters.accepted, 0U);
    EXPECT_EQ(counters.accepted == counters.tokens, alike);
  }
}

TEST_P(SpeculationTest, RejectionLeavesGreedyAnswersAlone) {
  std::vector<Request> requests = repeating_requests(8, 30);
  for (Request& request : requests) request.sampling.temperature = 0;
  const std::vector<Answer> expected = plain(requests);
  for (const bool automatic : {false, true}) {
    EngineOptions o = many(4);
    o.speculation = {model(6), 4, automatic, 1, DraftRule::rejection};
    expect_same(o, requests, expected);
  }
}

TEST_P(SpeculationTest, ASecondDrafterIsAskedWhereTheFirstHasNothingToSay) {
  std::vector<Request> requests = repeating_requests(6, 40);
  const std::vector<Answer> expected = plain(requests);
  for (const bool automatic : {false, true}) {
    EngineOptions o = many(3);
    o.speculation = {ngram, 4, automatic, 1, DraftRule::coupled, model(5)};
    const DraftCounters both = expect_same(o, requests, expected).drafts;
    o.speculation = {ngram, 4, automatic};
    const DraftCounters first = expect_same(o, requests, expected).drafts;
    if (automatic) continue;  // whether it pays is a matter of time
    EXPECT_GT(both.accepted, first.accepted);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SpeculationTest, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

}  // namespace
}  // namespace headrace
