#include "exactness/probe.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace headrace::exactness {
namespace {

constexpr uint32_t kPage = 64;
constexpr uint32_t kLongPrompt = 700;
constexpr uint32_t kLongestPrompt = 1200;  // longer ones would take more time than they are worth
constexpr uint32_t kPastWindow = 100;      // a page and a half
constexpr uint32_t kPastSplit = 513;       // attention splits at 512

uint64_t bits_of(double value) {
  return std::bit_cast<uint64_t>(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value);
}

bool same_draw(const Draw& a, const Draw& b) {
  const auto same = [](const TokenLogprob& x, const TokenLogprob& y) {
    return x.token == y.token && bits_of(x.logprob) == bits_of(y.logprob);
  };
  return a.token == b.token && bits_of(a.logprob) == bits_of(b.logprob) &&
         std::ranges::equal(a.top, b.top, same);
}

std::string draw_text(const Draw& draw) {
  return fmt::format("token {}, logprob {:a}, {} alternatives", draw.token, draw.logprob, draw.top.size());
}

uint32_t long_length(Random& random, const ModelShape& shape, uint32_t index) {
  // Decode across the boundary of a split, where prompts cross it otherwise.
  const bool decodes_across = shape.window + kPastWindow <= 490 && shape.longest >= kPastSplit;
  if (decodes_across && index % 4 == 3) return random.between(497, 512);
  const uint32_t past = shape.retires() ? std::max(kPastSplit, shape.window + kPastWindow) : kPastSplit;
  return random.between(std::min(past, shape.longest), shape.longest);
}

// Short ones, those around whole pages, and anything.
uint32_t ordinary_length(Random& random, const ModelShape& shape, uint32_t index) {
  const uint32_t most = std::min(kMaxPrompt, shape.longest);
  uint32_t length = 0;
  switch (index % 4) {
    case 0:
      length = random.between(1, 32);
      break;
    case 1:
      length = kPage * random.between(1, 4) + random.below(3) - 1;
      break;
    case 2:
      length = random.between(1, most);
      break;
    default:
      length = random.between(33, 100);
  }
  return std::min(length, most);
}

Probe make_probe(const ExactnessOptions& options, const ModelShape& shape, const PromptSource& source,
                 uint32_t index) {
  Random random(mix(mix(options.seed, 0x70726F6265U), index));
  const bool is_long = index % kProbesPerPool < kLongPerPool;
  Probe probe;
  probe.is_long = is_long;
  const uint32_t n = is_long ? long_length(random, shape, index) : ordinary_length(random, shape, index);
  probe.request.prompt = source.cut(random, n, true);
  const bool crosses = is_long && n <= 512;
  probe.request.max_new_tokens = crosses || random.one_in(8) ? kMaxNew : random.between(1, 24);
  probe.sampling_kind = (index + index / kSamplingKinds) % kSamplingKinds;
  SamplingParams& sampling = probe.request.sampling;
  sampling = random_sampling(random, probe.sampling_kind);
  sampling.choice = random.below(4);
  // Most likely tokens alone take a way of their own past the log-probabilities.
  sampling.logprobs = !random.one_in(3);
  if (sampling.logprobs) sampling.n_top_logprobs = random.below(6);
  if (n >= 2 && index % 5 == 4) {
    probe.request.score_from = std::max(1U, n - random.between(1, std::min(n - 1, 64U)));
  }
  return probe;
}

}  // namespace

ModelShape shape_of(const Model& model) {
  ModelShape shape = {.vocab = model.info().vocab_size, .layers = model.info().n_layers};
  for (const LayerGroup& group : model.layer_groups()) shape.window = std::max(shape.window, group.window);
  const uint64_t trained = std::max(model.info().context_length, kMaxNew + 1);
  const uint64_t past_window = std::min<uint64_t>(uint64_t{shape.window} + 2 * kPastWindow, kLongestPrompt);
  shape.longest =
      static_cast<uint32_t>(std::min(std::max<uint64_t>(kLongPrompt, past_window), trained - kMaxNew));
  const uint32_t whole = (shape.longest + kMaxNew + kPage - 1) / kPage * kPage;
  shape.context = static_cast<uint32_t>(std::min<uint64_t>(whole, trained));
  return shape;
}

PromptSource::PromptSource(const ExactnessOptions& options, uint32_t vocab)
    : text_(options.text), tokens_(options.tokens), bos_(options.bos), vocab_(vocab) {}

std::vector<int32_t> PromptSource::cut(Random& random, uint32_t length, bool with_bos) const {
  std::vector<int32_t> prompt;
  prompt.reserve(length);
  if (with_bos && bos_ && length > 0) prompt.push_back(*bos_);
  // A text that is too short is read again from its beginning.
  size_t from = text_.empty() ? 0 : random.below(static_cast<uint32_t>(text_.size()));
  while (prompt.size() < length) {
    if (!text_.empty())
      prompt.push_back(text_[from++ % text_.size()]);
    else if (!tokens_.empty())
      prompt.push_back(random.pick(tokens_));
    else
      prompt.push_back(static_cast<int32_t>(random.below(vocab_)));
  }
  return prompt;
}

SamplingParams random_sampling(Random& random, uint32_t kind) {
  SamplingParams p;
  p.seed = random.bits();
  switch (kind) {
    case 0:
      p.temperature = 0;
      break;
    case 1:
      p.temperature = random.pick({0.3F, 0.8F, 1.0F, 1.5F});
      p.top_k = random.pick({2, 40, 200});
      p.top_p = random.pick({0.5F, 0.95F, 1.0F});
      p.min_p = random.pick({0.0F, 0.05F, 0.2F});
      break;
    case 2:  // sure models draw the same with any seed, unless they are heated
      p.temperature = random.pick({2.0F, 4.0F, 8.0F});
      p.top_k = 0;
      p.top_p = 1;
      p.min_p = 0;
      break;
    default:
      p.repeat_penalty = random.pick({1.05F, 1.3F});
      p.presence_penalty = random.pick({0.0F, 0.5F});
      p.frequency_penalty = random.pick({0.0F, 0.25F});
      p.penalty_last_n = random.pick({7, 64, -1});
      p.temperature = random.pick({0.0F, 0.8F});
  }
  return p;
}

std::vector<Probe> make_probes(const ExactnessOptions& options, const ModelShape& shape) {
  const PromptSource source(options, shape.vocab);
  const uint32_t last = options.only.value_or(std::max(options.trials, 1U) - 1);
  const uint32_t count = (last / kTrialsPerPool + 1) * kProbesPerPool;
  std::vector<Probe> probes;
  for (uint32_t i = 0; i < count; ++i) probes.push_back(make_probe(options, shape, source, i));
  return probes;
}

uint64_t hash_row(std::span<const float> row) {
  uint64_t hash = 0x6A09E667F3BCC908U;
  const auto add = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 32;
  };
  bool nan = false;
  for (const float x : row) nan |= std::isnan(x);
  if (nan) {
    for (const float x : row) {
      add(std::bit_cast<uint32_t>(std::isnan(x) ? std::numeric_limits<float>::quiet_NaN() : x));
    }
    return hash | static_cast<uint64_t>(hash == 0);
  }
  size_t i = 0;
  for (; i + 2 <= row.size(); i += 2) {
    uint64_t word = 0;
    std::memcpy(&word, &row[i], sizeof word);
    add(word);
  }
  if (i < row.size()) add(std::bit_cast<uint32_t>(row[i]));
  return hash | static_cast<uint64_t>(hash == 0);
}

void ProbeObserver::record(RequestId request, uint32_t choice, uint32_t prompt_tokens, LayerHashes& into) {
  *this = ProbeObserver();
  request_ = request;
  choice_ = choice;
  prompt_tokens_ = prompt_tokens;
  into_ = &into;
}

void ProbeObserver::compare(RequestId request, uint32_t choice, uint32_t prompt_tokens,
                            const LayerHashes& with) {
  *this = ProbeObserver();
  request_ = request;
  choice_ = choice;
  prompt_tokens_ = prompt_tokens;
  with_ = &with;
}

void ProbeObserver::see(RequestId request, uint32_t choice, uint32_t position, uint32_t layer,
                        std::span<const float> hidden) {
  if (request != request_ || (choice != choice_ && position >= prompt_tokens_)) return;
  if (layer == 0 && step_rows_++ == 0) step_position_ = position;
  if (into_ != nullptr && into_->holds(position, layer)) into_->at(position, layer) = hash_row(hidden);
  if (with_ == nullptr) return;
  const bool known = with_->holds(position, layer);
  // Alone, this row was not needed so far up: there is nothing to compare it with.
  if (known && with_->at(position, layer) == 0) return;
  ++compared_;
  if (known && with_->at(position, layer) == hash_row(hidden)) return;
  const LayerPlace place = {position, layer};
  if (!difference_ || place < *difference_) difference_ = place;
}

void Answer::add(const Event& event, const SamplingParams& sampling) {
  if (event.finished != FinishReason::none) finished = event.finished;
  if (!event.has_token) return;
  Token token = {event.position, event.scored, event.draw};
  if (!event.scored && !sampling.logprobs) {
    token.draw.logprob = 0;
    token.draw.top.clear();
  }
  tokens.push_back(std::move(token));
}

std::optional<ExactnessDifference> first_difference(const Answer& expected, const Answer& found,
                                                    const std::optional<LayerPlace>& layer_difference) {
  const size_t both = std::min(expected.tokens.size(), found.tokens.size());
  size_t i = 0;
  while (i < both && expected.tokens[i].position == found.tokens[i].position &&
         expected.tokens[i].scored == found.tokens[i].scored &&
         same_draw(expected.tokens[i].draw, found.tokens[i].draw))
    ++i;
  std::optional<uint32_t> token_position;
  if (i < expected.tokens.size()) token_position = expected.tokens[i].position;
  if (i < found.tokens.size()) {
    token_position =
        std::min(token_position.value_or(std::numeric_limits<uint32_t>::max()), found.tokens[i].position);
  }
  ExactnessDifference difference;
  if (layer_difference && (!token_position || layer_difference->position < *token_position)) {
    difference.kind = "layer";
    difference.position = layer_difference->position;
    difference.layer = layer_difference->layer;
    difference.what = fmt::format("position {}: layer {} is the first that differs; the answer {}",
                                  difference.position, layer_difference->layer,
                                  token_position ? fmt::format("differs from token {} on", *token_position)
                                                 : std::string("is the same"));
    return difference;
  }
  difference.kind = "answer";
  if (token_position) {
    difference.position = *token_position;
    const auto side = [i](const Answer& answer) {
      return i < answer.tokens.size() ? draw_text(answer.tokens[i].draw) : std::string("nothing");
    };
    difference.what =
        fmt::format("position {}: no layer differs: the logits or the draw (expected {}; found {})",
                    *token_position, side(expected), side(found));
    return difference;
  }
  if (expected.finished == found.finished) return std::nullopt;
  difference.position = expected.tokens.empty() ? 0 : expected.tokens.back().position;
  difference.what = fmt::format("the same tokens, but the answer ended as '{}', expected '{}'",
                                name_of(found.finished), name_of(expected.finished));
  return difference;
}

uint64_t hash_answer(const Answer& answer, uint64_t hash) {
  for (const Answer::Token& token : answer.tokens) {
    hash = mix(hash, uint64_t{token.position} << 1 | static_cast<uint64_t>(token.scored));
    hash = mix(hash, static_cast<uint32_t>(token.draw.token));
    hash = mix(hash, bits_of(token.draw.logprob));
    for (const TokenLogprob& top : token.draw.top) {
      hash = mix(hash, static_cast<uint32_t>(top.token));
      hash = mix(hash, bits_of(top.logprob));
    }
  }
  return mix(hash, static_cast<uint64_t>(answer.finished));
}

}  // namespace headrace::exactness
