// What tests of drafts in the step loop share: a drafter that knows the right answers, and the check that
// answers are those of plain decoding.
#pragma once

#include "decode/ngram_drafter.h"
#include "engine/testing/draft_world.h"

namespace headrace::engine_testing {

#ifdef HEADRACE_TEST_FAKE_DEVICE
inline constexpr bool kSlow = true;  // a tenth of the combinations will do
#else
inline constexpr bool kSlow = false;
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

}  // namespace headrace::engine_testing
