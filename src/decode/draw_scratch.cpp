#include "decode/draw_scratch.h"

#include <algorithm>

#include "ops/backend.h"

namespace headrace {

void DrawScratch::prepare(const SamplingParams& params, size_t vocab_size, size_t history, size_t draws) {
  if (is_plain_argmax(params)) return;
  candidates.reserve(vocab_size);
  weights.reserve(vocab_size);
  adjustments.reserve(params, history);
  raw.reserve(recent_tokens(params, history) + params.logit_bias.size());
  if (!params.logprobs || params.n_top_logprobs == 0) return;
  // Longer lists are too rare to keep memory for.
  list_size_ = std::max(list_size_, std::min<size_t>(params.n_top_logprobs, kMaxTopK));
  most_lists_ = std::max(most_lists_, draws);
  lists_.reserve(most_lists_);
  lists_.resize(most_lists_);
  for (auto& list : lists_) list.reserve(list_size_);
}

std::vector<TokenLogprob> DrawScratch::take_list() {
  if (lists_.empty()) return {};
  std::vector<TokenLogprob> list = std::move(lists_.back());
  lists_.pop_back();
  return list;
}

void DrawScratch::recycle(Draw& draw) {
  if (draw.top.capacity() == 0 || lists_.size() >= most_lists_) return;
  draw.top.clear();
  draw.top.reserve(list_size_);
  lists_.push_back(std::move(draw.top));
}

}  // namespace headrace
