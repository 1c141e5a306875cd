#include "exactness/tally.h"

#include <algorithm>
#include <initializer_list>

namespace headrace::exactness {
namespace {

constexpr std::array<uint32_t, 6> kRowEnds = {1, 4, 16, 63, 255, UINT32_MAX};
constexpr std::array<uint32_t, 6> kChunkEnds = {1, 7, 16, 64, 510, UINT32_MAX};
constexpr std::array<const char*, 5> kConditionNames = {"cache hit", "preempted", "prompt in pieces",
                                                        "batch > 16", "window retired"};
constexpr size_t kWindowRetired = 4;
constexpr uint32_t kTrialsPerPair = 50;  // one in so many trials has each pair

enum Histogram : size_t {
  kRows,
  kChunks,
  kBatch,
  kReused,
  kPreemptions,
  kThreads,
  kSampling,
  kTiers,
  kDrafts,  // if there are any
};

template <size_t N>
uint32_t bucket_of(const std::array<uint32_t, N>& ends, uint32_t value) {
  return static_cast<uint32_t>(std::ranges::find_if(ends, [=](uint32_t end) { return value <= end; }) -
                               ends.begin());
}

ExactnessHistogram histogram(std::string title, std::initializer_list<const char*> labels) {
  ExactnessHistogram made = {.title = std::move(title), .buckets = {}};
  for (const char* label : labels) made.buckets.push_back({label, 0});
  return made;
}

}  // namespace

uint32_t row_bucket(uint32_t rows) {
  return bucket_of(kRowEnds, rows);
}
uint32_t chunk_bucket(uint32_t rows) {
  return bucket_of(kChunkEnds, rows);
}

Tally::Tally(const ExactnessOptions& options, const ModelShape& shape) : shape_(shape) {
  histograms_ = {
      histogram("rows of a step with the probe", {"1", "2-4", "5-16", "17-63", "64-255", "256+"}),
      histogram("prompt tokens in one step", {"1", "2-7", "8-16", "17-64", "65-510", "511+"}),
      histogram("sequences running at once", {"1", "2-4", "5-16", "17-63", "64"}),
      histogram("prompt tokens from the cache", {"0", "1-63", "64-127", "128+", "not whole pages"}),
      histogram("preemptions of the probe", {"0", "1", "2+"}),
      histogram("threads", {"1", "2+"}),
      histogram("sampling", {"greedy", "seeded", "hot", "penalties", "scored prompt", "several answers"}),
      histogram("kernels", {}),
  };
  for (const ExactnessTier& tier : options.tiers) histograms_[kTiers].buckets.push_back({tier.name, 0});
  if (options.recall > 0 || options.engine.speculation.drafter)
    histograms_.push_back(
        histogram("tokens drafted for the probe", {"0", "1-8", "9+", "accepted", "rejected"}));
}

void Tally::add(const Trial& trial, const Probe& probe, const Facts& facts) {
  ++trials_;
  const auto count = [&](Histogram histogram, size_t bucket) {
    ++histograms_[histogram].buckets[bucket].trials;
  };
  for (uint32_t i = 0; i < kRowEnds.size(); ++i)
    if ((facts.row_buckets >> i & 1) != 0) count(kRows, i);
  for (uint32_t i = 0; i < kChunkEnds.size(); ++i)
    if ((facts.chunk_buckets >> i & 1) != 0) count(kChunks, i);
  if (facts.most_running > 0)
    count(kBatch, bucket_of(std::array<uint32_t, 5>{1, 4, 16, 63, UINT32_MAX}, facts.most_running));
  count(kReused, bucket_of(std::array<uint32_t, 4>{0, 63, 127, UINT32_MAX}, facts.reused));
  if (facts.reused % 64 != 0) count(kReused, 4);
  count(kPreemptions, std::min(facts.preemptions, 2U));
  count(kThreads, std::max(trial.limits.decode_threads, trial.limits.batch_threads) > 1 ? 1 : 0);
  count(kSampling, probe.sampling_kind);
  if (probe.request.score_from) count(kSampling, kSamplingKinds);
  if (trial.n > 1) count(kSampling, kSamplingKinds + 1);
  count(kTiers, trial.tier);
  if (histograms_.size() > kDrafts) {
    count(kDrafts, facts.drafted == 0 ? 0 : facts.drafted <= 8 ? 1 : 2);
    if (facts.accepted > 0) count(kDrafts, 3);
    if (facts.accepted < facts.drafted) count(kDrafts, 4);
  }

  const std::array<bool, kConditions> held = {facts.reused > 0, facts.preemptions > 0, facts.in_pieces,
                                              facts.most_running > 16, facts.retired};
  for (size_t a = 0; a < kConditions; ++a)
    for (size_t b = 0; b < a; ++b) together_[a][b] += held[a] && held[b] ? 1 : 0;
}

void Tally::report(ExactnessReport& report) const {
  report.trials = trials_;
  report.histograms = histograms_;
  report.pair_minimum = std::max(1U, trials_ / kTrialsPerPair);
  if (shape_.window == 0) {
    report.remarks.push_back("this model has no window, so none of its pages are retired");
  } else if (!shape_.retires()) {
    report.remarks.push_back(
        fmt::format("the window of {} tokens is too large for prompts of {}: no page is retired",
                    shape_.window, shape_.longest));
  }
  if (shape_.longest < 511) {
    report.remarks.push_back(fmt::format(
        "the model's context is too small for prompts of 511 tokens: the longest has {}", shape_.longest));
    report.histograms[kChunks].buckets.pop_back();
  }
  for (const ExactnessHistogram& histogram : report.histograms) {
    for (const ExactnessBucket& bucket : histogram.buckets) {
      if (bucket.trials == 0)
        report.uncovered.push_back(fmt::format("{}: no trial with {}", histogram.title, bucket.label));
    }
  }
  for (size_t a = 0; a < kConditions; ++a) {
    if (a == kWindowRetired && !shape_.retires()) continue;
    for (size_t b = 0; b < a; ++b) {
      const ExactnessPair pair = {kConditionNames[b], kConditionNames[a], together_[a][b]};
      if (pair.trials < report.pair_minimum) {
        report.uncovered.push_back(fmt::format("{} and {}: {} trials, expected {} or more", pair.first,
                                               pair.second, pair.trials, report.pair_minimum));
      }
      report.pairs.push_back(pair);
    }
  }
}

}  // namespace headrace::exactness
