#include "engine/draft_writing.h"

#include <algorithm>
#include <iterator>

namespace headrace {
namespace {

constexpr double kTimeStep = 0.1;
constexpr uint32_t kWarmUp = 6;

uint8_t trust_of(double logprob) {
  constexpr double kLeast[kTrustClasses - 2] = {-0.01, -0.03, -0.1, -0.2, -0.35, -0.5, -0.7, -0.9,
                                                -1.2,  -1.6,  -2.0, -2.5, -3.0,  -4.0, -5.0};
  uint8_t trust = 0;
  while (trust < std::size(kLeast) && logprob < kLeast[trust]) ++trust;
  return trust;
}

}  // namespace

void DraftWriting::append(StepRunner& runner, std::span<DraftInWriting* const> drafts) {
  for (size_t first = 0; first < drafts.size(); first += runner.max_outputs()) {
    const size_t count = std::min<size_t>({runner.max_outputs(), kMostOutputs, drafts.size() - first});
    runner.project(first, count);
    int32_t likeliest[kMostOutputs] = {};
    double sums[kMostOutputs] = {};
    runner.argmax(std::span(likeliest).first(count));
    runner.log_sum_exp(std::span(sums).first(count));
    const bool branches = std::ranges::any_of(drafts.subspan(first, count), [](const DraftInWriting* draft) {
      return draft->request->branches > 1 && draft->request->odds == nullptr;
    });
    if (branches) runner.top_k(count, 2);
    for (size_t i = 0; i < count; ++i) {
      DraftInWriting& draft = *drafts[first + i];
      const DraftRequest& request = *draft.request;
      if (request.odds != nullptr) {
        add(draft, draw_alone(runner, draft, i), kDrawnTrust);
        continue;
      }
      const int32_t token = is_plain_argmax(*request.sampling) ? likeliest[i] : draw(runner, draft, i);
      const auto trust = [&](int32_t id) {
        return trust_of(static_cast<double>(runner.logit(i, id)) - sums[i]);
      };
      const int32_t parent = draft.last;
      add(draft, token, trust(token));
      if (!branches) continue;
      const std::span<const int32_t> best = runner.top_of(i).ids;
      const int32_t other = best[0] == token ? best[1] : best[0];
      if (request.draft->leaves() < request.branches && request.draft->size() < request.most)
        request.draft->add(other, parent, trust(other));
    }
  }
}

void DraftWriting::add(DraftInWriting& draft, int32_t token, uint8_t trust) {
  const DraftRequest& request = *draft.request;
  draft.last = request.draft->add(token, draft.last, trust);
  if (request.own != nullptr) draft.reached *= request.own->rate(trust, request.pooled);
}

// Sets history_ to the text and its draft up to the node that was written last; the position of what follows.
uint32_t DraftWriting::read_on(const DraftInWriting& draft) {
  const DraftRequest& request = *draft.request;
  history_.assign(request.tokens.begin(), request.tokens.end());
  for (int32_t at = draft.last; at != Draft::kText;) {
    const Draft::Node& node = request.draft->node(static_cast<uint32_t>(at));
    history_.push_back(node.token);
    at = node.parent;
  }
  std::reverse(history_.begin() + static_cast<ptrdiff_t>(request.tokens.size()), history_.end());
  return static_cast<uint32_t>(history_.size());
}

// From these logits the target would draw the same token.
int32_t DraftWriting::draw(StepRunner& runner, const DraftInWriting& draft, size_t output) {
  const uint32_t position = read_on(draft);
  return draw_token(*draft.request->sampling, runner.logits(output), history_, position, scratch_);
}

int32_t DraftWriting::draw_alone(StepRunner& runner, const DraftInWriting& draft, size_t output) {
  const DraftRequest& request = *draft.request;
  const uint32_t position = read_on(draft);
  std::vector<TokenProbability>& from = scratch_.distribution;
  draw_distribution(*request.sampling, runner.logits(output), history_, scratch_, from);
  request.odds->add(from);
  return draw_from(from, *request.sampling, position, DrawStream::draft);
}

void DraftWriting::took(double seconds) {
  // The first ones warm up.
  const bool warm = ++timed_ > kWarmUp;
  if (warm)
    seconds_ += kTimeStep * (seconds - seconds_);
  else
    seconds_ = timed_ == 1 ? seconds : std::min(seconds_, seconds);
}

}  // namespace headrace
