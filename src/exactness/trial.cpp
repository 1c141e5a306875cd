#include "exactness/trial.h"

#include <algorithm>
#include <array>

namespace headrace::exactness {
namespace {

constexpr uint32_t kPage = 64;
constexpr std::array<uint32_t, 8> kChunks = {1, 7, 16, 64, 511, 512, 513, 0};
constexpr uint32_t kTrialsPerLong = 8;
constexpr uint32_t kSlowProbeTokens = 130;
constexpr uint32_t kSlowBatch = 8;
constexpr int32_t kPushed = -20;  // priority of a probe that is to be preempted
constexpr int32_t kPusher = 20;

// What stratum() keeps apart.
enum Factor : uint32_t {
  kTier,
  kLong,
  kThreads,
  kChunk,
  kBatch,
  kRows,
  kCache,
  kPreemption,
  kArrival,
  kTwins,
  kFactors
};

enum class Arrival : uint8_t { together, around, throughout };

class Planner {
 public:
  Planner(const ExactnessOptions& options, const ModelShape& shape, std::span<const Probe> probes,
          uint32_t number)
      : options_(options),
        shape_(shape),
        source_(options, shape.vocab),
        random_(mix(options.seed, number)),
        number_(number) {
    trial_.number = number;
    trial_.seed = mix(options.seed, number);
    trial_.tier = tier_of_trial(options, number);
    slow_ = options.tiers[trial_.tier].slow;
    choose_probe(probes);
  }

  Trial plan() {
    choose_limits();
    choose_batch();
    if (!probe_->request.score_from && stratum(kTwins, 8) == 0) {
      trial_.n = random_.between(2, 3);
      trial_.choice = random_.below(std::min(trial_.n, probe_->request.sampling.choice + 1));
    }
    const uint32_t reused = fill_cache();
    // Steps that the probe will have rows in.
    const uint32_t n = probe_->prompt_tokens();
    const uint32_t chunk = std::min(trial_.limits.chunk == 0 ? n : trial_.limits.chunk, trial_.limits.rows);
    steps_ = (n - std::min(reused, n - 1) + chunk - 1) / chunk + probe_->request.max_new_tokens - 1;
    plan_pushes();
    trial_.priority = trial_.pushes.empty() ? random_priority() : kPushed;
    plan_neighbours();
    return std::move(trial_);
  }

 private:
  // Long probes, one in kTrialsPerLong, are dealt their values apart: too few to be left to chance.
  uint32_t stratum(Factor factor, uint32_t n) const {
    if (!probe_->is_long) return exactness::stratum(options_.seed, factor, number_, n);
    return exactness::stratum(options_.seed, factor + kFactors, number_ / kTrialsPerLong, n);
  }
  int32_t random_priority() { return static_cast<int32_t>(random_.below(7)) - 3; }

  void choose_probe(std::span<const Probe> probes);
  void choose_limits();
  void choose_batch();
  uint32_t fill_cache();
  uint32_t prefix_length();
  void plan_pushes();
  Push make_push(uint32_t after, bool pages);
  void plan_neighbours();
  Request neighbour_request();

  const ExactnessOptions& options_;
  const ModelShape& shape_;
  PromptSource source_;
  Random random_;
  uint32_t number_;
  Trial trial_;
  const Probe* probe_ = nullptr;
  bool slow_ = false;
  uint32_t steps_ = 1;
};

void Planner::choose_probe(std::span<const Probe> probes) {
  const bool wants_long = exactness::stratum(options_.seed, kLong, number_, kTrialsPerLong) == 0;
  const uint32_t first = number_ / kTrialsPerPool * kProbesPerPool;
  const auto tokens = [&](uint32_t i) {
    return probes[i].prompt_tokens() + (probes[i].request.score_from ? 100 : 0);
  };
  trial_.probe =
      first + (wants_long ? random_.below(kLongPerPool) : random_.between(kLongPerPool, kProbesPerPool - 1));
  // Every fourth ordinary probe has at most 32 tokens, so this ends soon.
  while (slow_ && !wants_long && tokens(trial_.probe) > kSlowProbeTokens)
    trial_.probe = first + random_.between(kLongPerPool, kProbesPerPool - 1);
  probe_ = &probes[trial_.probe];
}

void Planner::choose_limits() {
  StepLimits& limits = trial_.limits;
  limits.sequences = kSequences;
  limits.chunk = kChunks[stratum(kChunk, kChunks.size())];
  const bool single = stratum(kThreads, 2) == 0;
  // How many there are shall change nothing else about a trial.
  const auto many = 2 + static_cast<uint32_t>(trial_.seed % (std::max(options_.threads, 2U) - 1));
  limits.decode_threads = single || random_.between(1, 2) == 1 ? 1 : many;
  limits.batch_threads = single ? 1 : limits.decode_threads == 1 || random_.between(1, 2) == 2 ? many : 1;
  const uint32_t rows = stratum(kRows, 5);
  limits.rows = rows < 2 ? kBatchRows : rows == 2 ? 256 : rows == 3 ? 64 : random_.between(64, kBatchRows);
  if (!probe_->is_long) return;
  // Hundreds of steps for one prompt: too dear. Neighbours and short probes have chunks of 1.
  if (limits.chunk == 1) limits.chunk = 7;
  if (limits.chunk == 0 || limits.chunk > 64) limits.rows = kBatchRows;
}

void Planner::choose_batch() {
  // More crowds around long probes: their pages shall leave the window in crowds, too.
  static constexpr std::array<uint32_t, 8> kAroundLong = {0, 1, 3, 4, 5, 5, 6, 7};
  const uint32_t sort = stratum(kBatch, 8);
  switch (probe_->is_long ? kAroundLong[sort] : sort) {
    case 0:
      trial_.batch = 1;
      break;
    case 1:
    case 2:
      trial_.batch = random_.between(2, 4);
      break;
    case 3:
    case 4:
      trial_.batch = random_.between(5, 16);
      break;
    case 5:
    case 6:
      trial_.batch = random_.between(18, 48);
      break;
    default:
      trial_.batch = kSequences;
  }
  if (slow_ && !random_.one_in(8)) trial_.batch = std::min(trial_.batch, kSlowBatch);
}

// How much of the probe's prompt a request before it shares: any length, those around whole pages more often.
uint32_t Planner::prefix_length() {
  const uint32_t n = probe_->prompt_tokens();
  switch (random_.below(4)) {
    case 0:
      return n;
    case 1: {
      const uint32_t pages = random_.between(1, std::max(1U, n / kPage));
      return std::min(n, pages * kPage + random_.below(3) - 1);
    }
    default:
      return random_.between(1, n);
  }
}

// Returns how many tokens of the probe should be found.
uint32_t Planner::fill_cache() {
  const std::vector<int32_t>& prompt = probe_->request.prompt;
  const uint32_t kind = stratum(kCache, 6);
  const auto add = [&](uint32_t shared, uint32_t others, uint32_t new_tokens) {
    Request request;
    request.prompt.assign(prompt.begin(), prompt.begin() + shared);
    const std::vector<int32_t> tail = source_.cut(random_, std::max(others, shared == 0 ? 1U : 0U), false);
    request.prompt.insert(request.prompt.end(), tail.begin(), tail.end());
    const auto room = shape_.context - kMaxNew;
    if (request.prompt.size() > room) request.prompt.resize(room);
    request.max_new_tokens = new_tokens;
    request.sampling = random_sampling(random_, random_.below(kSamplingKinds));
    request.cache_salt = probe_->request.cache_salt;
    trial_.before.push_back(std::move(request));
  };
  if (kind == 0) {
    trial_.limits.prefix_cache = false;
    trial_.cache = "off";
    if (probe_->prompt_tokens() <= kSlowProbeTokens) add(probe_->prompt_tokens(), 0, 1);
    return 0;
  }
  if (kind == 1) {
    trial_.cache = "cold";
    return 0;
  }
  if (kind == 2) {
    trial_.cache = "the same prompt before";
    add(probe_->prompt_tokens(), 0, random_.below(4));
    return probe_->prompt_tokens() - 1;
  }
  uint32_t most = 0;
  for (uint32_t i = 0; i < (kind == 5 ? 2U : 1U); ++i) {
    const uint32_t shared = prefix_length();
    add(shared, random_.below(20), random_.below(4));
    most = std::max(most, shared);
    trial_.cache += fmt::format("{}{} tokens", trial_.cache.empty() ? "" : " and ", shared);
  }
  trial_.cache += " shared before";
  return most;
}

Push Planner::make_push(uint32_t after, bool pages) {
  Push push = {.after = after, .pages = pages};
  const uint32_t whole = (shape_.context + kPage - 1) / kPage;
  // A crowd has most of the pages already; few neighbours need long prompts to take them all.
  const bool crowd = trial_.batch > 16;
  const uint32_t count = pages && crowd ? random_.between(2, 5) : random_.between(1, 3);
  for (uint32_t i = 0; i < count; ++i) {
    Request request;
    uint32_t length = random_.between(1, 24);
    if (pages && crowd) length = random_.between(10, kPage + 10);
    if (pages && !crowd) length = std::min(whole * kPage / count, shape_.context - 4);
    request.prompt = source_.cut(random_, std::max(1U, length), random_.one_in(2));
    request.max_new_tokens = random_.between(1, 3);
    request.sampling = random_sampling(random_, random_.below(kSamplingKinds));
    request.priority = kPusher;
    push.requests.push_back(std::move(request));
  }
  return push;
}

void Planner::plan_pushes() {
  const uint32_t kind = stratum(kPreemption, 4);
  if (kind == 0 || steps_ < 2) return;
  const uint32_t first = random_.between(1, steps_ - 1);
  // Pages are taken by long prompts: too dear on slow kernels.
  trial_.pushes.push_back(make_push(first, kind == 1 && !slow_));
  if (kind == 3) trial_.pushes.push_back(make_push(first + random_.between(1, 2), false));
}

Request Planner::neighbour_request() {
  const std::vector<int32_t>& prompt = probe_->request.prompt;
  Request request;
  uint32_t length = random_.between(1, 26);
  if (random_.one_in(8)) length = random_.between(27, kPage + 1);
  if (random_.one_in(40) && !slow_) length = random_.between(kPage, std::min(kMaxPrompt, shape_.longest));
  if (random_.one_in(6)) {  // another reader of the probe's pages
    const uint32_t most = random_.one_in(4) ? probe_->prompt_tokens() : kPage;
    const uint32_t shared = random_.between(1, std::min(most, probe_->prompt_tokens()));
    request.prompt.assign(prompt.begin(), prompt.begin() + shared);
    length = random_.below(10);
  }
  const std::vector<int32_t> tail = source_.cut(random_, length, request.prompt.empty() && random_.one_in(2));
  request.prompt.insert(request.prompt.end(), tail.begin(), tail.end());
  if (request.prompt.size() + kMaxNew > shape_.context) request.prompt.resize(shape_.context - kMaxNew);
  request.max_new_tokens = trial_.batch == kSequences ? random_.between(8, 12) : random_.between(1, 12);
  request.sampling = random_sampling(random_, random_.below(kSamplingKinds));
  request.sampling.choice = random_.below(3);
  request.sampling.logprobs = random_.one_in(3);
  if (request.sampling.logprobs) request.sampling.n_top_logprobs = random_.below(4);
  if (request.prompt.size() >= 2 && random_.one_in(10)) request.score_from = 1;
  if (!request.score_from && random_.one_in(12)) request.n = 2;
  request.priority = random_priority();
  request.cache_salt = random_.one_in(6) ? 1 : 0;
  return request;
}

void Planner::plan_neighbours() {
  const auto arrival = static_cast<Arrival>(stratum(kArrival, 3));
  if (trial_.batch > 1 && arrival != Arrival::together) trial_.probe_step = random_.below(5);
  // Large chunks need a step almost to themselves.
  const bool after =
      probe_->is_long && (trial_.limits.chunk == 0 || trial_.limits.chunk > 64) && !random_.one_in(3);
  for (uint32_t i = 1; i < trial_.batch; ++i) {
    Neighbour neighbour = {.request = neighbour_request()};
    if (after)
      neighbour.step = trial_.probe_step + random_.between(1, 3);
    else if (arrival == Arrival::throughout)
      neighbour.step = random_.below(trial_.probe_step + steps_ + 1);
    else
      neighbour.step = random_.below(trial_.probe_step + 2);
    if (random_.one_in(5)) neighbour.cancelled_at = neighbour.step + random_.between(1, 10);
    trial_.neighbours.push_back(std::move(neighbour));
  }
  std::ranges::stable_sort(trial_.neighbours, {}, &Neighbour::step);
}

}  // namespace

size_t tier_of_trial(const ExactnessOptions& options, uint32_t number) {
  const uint32_t place = stratum(options.seed, kTier, number, 32);
  uint32_t end = 0;
  for (size_t tier = 1; tier < options.tiers.size(); ++tier) {
    end += options.tiers[tier].slow ? 2 : 4;
    if (place < end) return tier;
  }
  return 0;
}

Trial plan_trial(const ExactnessOptions& options, const ModelShape& shape, std::span<const Probe> probes,
                 uint32_t number) {
  return Planner(options, shape, probes, number).plan();
}

Request asked_request(const Trial& trial, const Probe& probe) {
  Request request = probe.request;
  request.priority = trial.priority;
  request.n = trial.n;
  request.sampling.choice -= trial.choice;
  return request;
}

std::string Trial::text(const ExactnessOptions& options, const Probe& asked) const {
  static constexpr std::array<const char*, kSamplingKinds> kKinds = {"greedy", "seeded", "seeded, hot",
                                                                     "penalties"};
  std::string text = fmt::format("{}, {}/{} threads, probe {} ({} + {} tokens, {}{})",
                                 options.tiers[tier].name, limits.decode_threads, limits.batch_threads, probe,
                                 asked.prompt_tokens(), asked.request.max_new_tokens,
                                 kKinds[asked.sampling_kind], asked.request.score_from ? ", scored" : "");
  text += limits.chunk == 0 ? ", chunk full" : fmt::format(", chunk {}", limits.chunk);
  text += fmt::format(", {} rows a step, batch {}, cache: {}", limits.rows, batch, cache);
  if (n > 1) text += fmt::format(", answer {} of {}", choice + 1, n);
  for (const Push& push : pushes) {
    text += fmt::format(", {} pushed after {} steps by {} requests", push.pages ? "pages" : "place",
                        push.after, push.requests.size());
  }
  return text;
}

}  // namespace headrace::exactness
