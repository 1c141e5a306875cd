#include "engine/output_tile.h"

#include <algorithm>
#include <functional>

namespace headrace {

OutputTile::OutputTile(StepRunner& runner, DrawScratch& scratch, const Speculation* speculation,
                       std::span<const Output> outputs)
    : runner_(runner), scratch_(scratch), speculation_(speculation), outputs_(outputs) {
  uint32_t most = 0;
  bool any_plain = false;
  bool any_sum = false;
  sums_.fill(0);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const SamplingParams& sampling = outputs[i].choice->sampling;
    any_sum |= outputs[i].score || sampling.logprobs;
    wanted_[i] = 0;
    if (outputs[i].score) continue;
    const bool plain = is_plain_argmax(sampling);
    any_plain |= plain;
    wanted_[i] = plain ? 0 : top_k_wanted(sampling, outputs[i].position);
    most = std::max(most, wanted_[i]);
  }
  if (any_plain) runner_.argmax(std::span(likeliest_).first(outputs.size()));
  if (any_sum) runner_.log_sum_exp(std::span(sums_).first(outputs.size()));
  if (most > 0) runner_.top_k(outputs.size(), most);
}

double OutputTile::logprob(size_t i, int32_t token) const {
  return static_cast<double>(runner_.logit(i, token)) - sums_[i];
}

Draw OutputTile::draw(size_t i) {
  const Output& output = outputs_[i];
  const Choice& choice = *output.choice;
  if (is_plain_argmax(choice.sampling)) {
    Draw plain;
    plain.token = likeliest_[i];
    return plain;
  }
  if (speculation_ != nullptr && speculation_->rejects(choice)) {
    const auto by_rejection = [&](std::vector<TokenProbability>& from) {
      return speculation_->draw(choice, output.position, from);
    };
    // By reference: a copy of the lambda would take memory from the heap.
    return draw_by(choice.sampling, runner_.logits(i), choice.tokens, sums_[i], scratch_,
                   std::cref(by_rejection));
  }
  if (wanted_[i] > 0) {
    const StepRunner::Best best = runner_.top_of(i);
    std::optional<Draw> drawn = draw_from_top_k(choice.sampling, best.ids, best.values, choice.tokens,
                                                output.position, sums_[i], scratch_);
    if (drawn) return *std::move(drawn);
  }
  return headrace::draw(choice.sampling, runner_.logits(i), choice.tokens, output.position, sums_[i],
                        scratch_);
}

}  // namespace headrace
