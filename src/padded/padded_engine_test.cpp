// The padded batch answers as plain decoding does; what it costs beside that is measured elsewhere.
#include "padded/padded_engine.h"

#include "decode/ngram_drafter.h"
#include "engine/testing/draft_world.h"

namespace headrace {
namespace {

using namespace engine_testing;

EngineOptions padded_options(uint32_t sequences) {
  EngineOptions o = options(64, sequences);
  o.context = 160;
  o.page_tokens = 16;
  return o;
}

class PaddedEngineTest : public ::testing::TestWithParam<Family> {
 protected:
  std::string bytes_ = tiny_bytes(GetParam(), DType::Q8_0);

  std::vector<Answer> plain(std::span<const Request> requests) {
    World w(bytes_, test_device(1), padded_options(1));
    std::vector<Answer> answers;
    for (const Request& request : requests) answers.push_back(w.cold_answer(request));
    return answers;
  }
  // A world whose engine pads.
  std::unique_ptr<World> world(const EngineOptions& o) {
    auto w = std::make_unique<World>(bytes_, test_device(1), padded_options(1));
    auto backend = test_device(1);
    auto loaded = load_model(w->file, *backend, w->ledger).value();
    w->engine = make_padded_engine(std::move(backend), std::move(loaded), w->ledger, o).value();
    return w;
  }
  EngineStats expect_same(const EngineOptions& o, std::span<const Request> requests,
                          std::span<const Answer> expected) {
    const auto w = world(o);
    for (const Request& request : requests) w->submit(request);
    w->finish();
    for (uint32_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(same_bits((w->answers[{i + 1, 0}]), expected[i])) << i;
      EXPECT_EQ((w->answers[{i + 1, 0}].finished), expected[i].finished) << i;
    }
    return w->engine->stats();
  }
  static Result<std::unique_ptr<Drafter>> ngram(const DrafterWorld&) {
    return make_ngram_drafter({.shortest = 1});
  }
  static DrafterMaker model(uint64_t seed) { return draft_model(GetParam(), seed); }
};

TEST_P(PaddedEngineTest, AnswersAreThoseOfPlainDecoding) {
  const std::vector<Request> requests = repeating_requests(11, 30);
  const std::vector<Answer> expected = plain(requests);
  for (const uint32_t sequences : {1U, 3U, 8U, 11U}) {
    EngineOptions o = padded_options(sequences);
    expect_same(o, requests, expected);
    for (const uint32_t most : {1U, 4U}) {
      o.speculation = {ngram, most, false};
      EXPECT_GT(expect_same(o, requests, expected).drafts.tokens, 0U);
      o.speculation = {model(5), most, false};
      const EngineStats stats = expect_same(o, requests, expected);
      EXPECT_GT(stats.drafts.tokens, 50U);
      EXPECT_EQ(stats.drafts.tokens, stats.drafts.accepted);
      o.speculation = {model(6), most, false};
      EXPECT_LT(expect_same(o, requests, expected).drafts.accepted, stats.drafts.accepted);
    }
  }
}

TEST_P(PaddedEngineTest, AnEndTokenInsideADraftEndsTheAnswerThere) {
  std::vector<Request> requests = repeating_requests(4, 24);
  const std::vector<Answer> longer = plain(requests);
  for (size_t i = 0; i < requests.size(); ++i) requests[i].end_tokens = {longer[i].tokens[5 + i]};
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = padded_options(4);
  o.speculation = {model(5), 6, false};
  expect_same(o, requests, expected);
}

TEST_P(PaddedEngineTest, WhoIsCancelledEndsAndTheOthersGoOn) {
  const std::vector<Request> requests = repeating_requests(5, 30);
  const std::vector<Answer> expected = plain(requests);
  const auto w = world(padded_options(2));
  for (const Request& request : requests) w->submit(request);
  for (int i = 0; i < 3; ++i) w->step();
  w->engine->cancel(1);
  w->engine->cancel(4);
  w->finish();
  for (const uint32_t i : {1U, 2U, 4U}) EXPECT_TRUE(same_bits((w->answers[{i + 1, 0}]), expected[i])) << i;
  EXPECT_EQ((w->answers[{1, 0}].finished), FinishReason::cancelled);
  EXPECT_EQ((w->answers[{4, 0}].finished), FinishReason::cancelled);
  EXPECT_TRUE((w->answers[{4, 0}].tokens.empty()));
}

TEST_P(PaddedEngineTest, TheContextsEndIsNotOverrun) {
  std::vector<Request> requests = repeating_requests(3, 400);
  for (Request& request : requests) request.max_new_tokens = 400;
  const std::vector<Answer> expected = plain(requests);
  EngineOptions o = padded_options(3);
  o.speculation = {model(6), 8, false};
  expect_same(o, requests, expected);
}

INSTANTIATE_TEST_SUITE_P(Families, PaddedEngineTest, ::testing::Values(Family::llama, Family::gemma3),
                         [](const auto& family) {
                           return family.param == Family::llama ? "llama" : "gemma3";
                         });

}  // namespace
}  // namespace headrace
