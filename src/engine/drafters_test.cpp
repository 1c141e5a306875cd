// Who drafts, and by which rule: draft models, some layers of the model, the text itself.
#include "engine/self_drafter.h"
#include "engine/testing/speculation_world.h"

namespace headrace {
namespace {

using namespace engine_testing;

using DraftersTest = SpeculationTest;

TEST_P(DraftersTest, ADraftModelThatIsTheModelIsAlwaysRight) {
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

TEST_P(DraftersTest, TheModelItselfDraftsWithSomeOfItsLayers) {
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

TEST_P(DraftersTest, AnotherDraftModelChangesNoAnswer) {
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

TEST_P(DraftersTest, EveryDrafterMayBranchAndChangesNoAnswer) {
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

TEST_P(DraftersTest, ADraftModelDraftsFromItsKeptKeysAsFromTextsReadAnew) {
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

TEST_P(DraftersTest, WhoGetsNoRowsIsAskedAgain) {
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

TEST_P(DraftersTest, ADraftModelWithAnotherVocabularyIsRefused) {
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

TEST_P(DraftersTest, DraftsFromTheTextItselfAreCheckedToo) {
  const std::vector<Request> requests = repeating_requests(8, 30);
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = many(4);
  o.speculation = {ngram, 4, false};
  const EngineStats stats = expect_same(o, requests, expected);
  EXPECT_GT(stats.drafts.tokens, 0U);
  EXPECT_LE(stats.drafts.accepted, stats.drafts.tokens);
}

// What may stand in three tokens, and how often it did.
struct Texts {
  std::map<std::vector<int32_t>, double> expected;  // probabilities
  std::map<std::vector<int32_t>, uint64_t> counts;
};

TEST_P(DraftersTest, ByRejectionTextsAreDistributedAsThoseOfPlainDecoding) {
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

TEST_P(DraftersTest, RejectionLeavesGreedyAnswersAlone) {
  std::vector<Request> requests = repeating_requests(8, 30);
  for (Request& request : requests) request.sampling.temperature = 0;
  const std::vector<Answer> expected = plain(requests);
  for (const bool automatic : {false, true}) {
    EngineOptions o = many(4);
    o.speculation = {model(6), 4, automatic, 1, DraftRule::rejection};
    expect_same(o, requests, expected);
  }
}

TEST_P(DraftersTest, ASecondDrafterIsAskedWhereTheFirstHasNothingToSay) {
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

INSTANTIATE_TEST_SUITE_P(Families, DraftersTest, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

}  // namespace
}  // namespace headrace
