#include "exactness/recall_drafter.h"

#include <algorithm>

#include "exactness/random.h"

namespace headrace::exactness {
namespace {

constexpr uint32_t kLieOneIn = 4;

class RecallDrafter final : public Drafter {
 public:
  RecallDrafter(KnownTexts texts, uint32_t vocab) : texts_(std::move(texts)), vocab_(vocab) {}

  std::string_view name() const override { return "recall"; }

  void propose(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& request : requests) {
      const std::vector<int32_t> rest = recall(request.tokens);
      // Lengths differ, so that sequences of a step stand at different places of their drafts.
      const uint32_t most = 1 + below(request, 0, request.most);
      int32_t parent = Draft::kText;
      for (uint32_t i = 0; request.draft->size() < most; ++i) {
        const bool knows = i < rest.size() && below(request, 3 * i + 1, kLieOneIn) != 0;
        const auto made_up = static_cast<int32_t>(below(request, 3 * i + 2, vocab_));
        // Now and then another way goes off first, so that the right one does not stand where it would in a
        // chain.
        const bool forks = request.draft->leaves() + 1 < request.branches &&
                           request.draft->size() + 1 < most && below(request, 3 * i + 3, 2) == 0;
        if (forks && made_up != (knows ? rest[i] : 0)) request.draft->add(made_up, parent, 0);
        const int32_t token = knows ? rest[i] : made_up == 0 ? 1 : 0;
        parent = request.draft->add(token, parent, 0);
      }
    }
  }

 private:
  // The same for the same text.
  static uint32_t below(const DraftRequest& request, uint32_t which, uint32_t bound) {
    return Random(mix(mix(request.sequence, request.tokens.size()), which)).below(bound);
  }

  // What followed `tokens` before.
  std::vector<int32_t> recall(std::span<const int32_t> tokens) const {
    std::vector<int32_t> rest;
    texts_([&](std::span<const int32_t> prompt, std::span<const int32_t> answer) {
      if (tokens.size() < prompt.size() || !std::ranges::equal(prompt, tokens.first(prompt.size()))) return;
      const std::span<const int32_t> said = tokens.subspan(prompt.size());
      if (said.size() >= answer.size() || !std::ranges::equal(said, answer.first(said.size()))) return;
      const std::span<const int32_t> unsaid = answer.subspan(said.size());
      rest.assign(unsaid.begin(), unsaid.end());
    });
    return rest;
  }

  KnownTexts texts_;
  uint32_t vocab_;
};

}  // namespace

std::unique_ptr<Drafter> make_recall_drafter(KnownTexts texts, uint32_t vocab) {
  return std::make_unique<RecallDrafter>(std::move(texts), vocab);
}

}  // namespace headrace::exactness
