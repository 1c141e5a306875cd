#include "cli/verify_report.h"

#include <algorithm>

#include <fmt/format.h>

namespace headrace::cli {
namespace {

constexpr size_t kTitleWidth = 32;

// Labels above counts, in columns.
std::string histogram_text(const ExactnessHistogram& histogram) {
  std::string labels = fmt::format("{:<{}}", histogram.title, kTitleWidth);
  std::string counts(kTitleWidth, ' ');
  for (const ExactnessBucket& bucket : histogram.buckets) {
    const std::string count = grouped(bucket.trials);
    const size_t width = std::max({bucket.label.size(), count.size(), size_t{5}});
    labels += fmt::format("  {:>{}}", bucket.label, width);
    counts += fmt::format("  {:>{}}", count, width);
  }
  return labels + "\n" + counts + "\n";
}

std::string difference_text(const ExactnessDifference& difference) {
  return fmt::format("DIFFERENT  trial {} (seed {:016x}): {}\n           {}: {}\n", difference.trial,
                     difference.trial_seed, difference.configuration, difference.kind, difference.what);
}

// What occurred, in how many trials.
std::string coverage_text(const ExactnessReport& report) {
  std::string out = "Trials with\n";
  for (const ExactnessHistogram& histogram : report.histograms) out += histogram_text(histogram);
  out += fmt::format("\nTrials with both ({} or more expected)\n", report.pair_minimum);
  for (const ExactnessPair& pair : report.pairs) {
    out += fmt::format("{:<{}}  {:>5}\n", fmt::format("{}, {}", pair.first, pair.second), kTitleWidth + 4,
                       grouped(pair.trials));
  }
  out += "\n";
  for (const std::string& remark : report.remarks) out += fmt::format("note: {}\n", remark);
  for (const std::string& missing : report.uncovered) out += fmt::format("NOT COVERED  {}\n", missing);
  return out;
}

}  // namespace

std::string verify_text(const ExactnessReport& report) {
  const bool alone = !report.configuration.empty();
  std::string out = alone ? report.configuration + "\n" : coverage_text(report);
  for (const ExactnessDifference& difference : report.differences) out += difference_text(difference);
  if (report.stopped) out += fmt::format("stopped after {} differences\n", report.differences.size());
  if (!alone) out += fmt::format("digest of the answers: {:016x}\n", report.digest);
  return out +
         fmt::format("{} trial{} of {} probe{}: {} tokens and {} hidden states compared, {} different\n",
                     grouped(report.trials), report.trials == 1 ? "" : "s", grouped(report.probes),
                     report.probes == 1 ? "" : "s", grouped(report.tokens_compared),
                     grouped(report.layer_rows_compared),
                     report.n_different == 0 ? "none" : grouped(report.n_different));
}

Json verify_json(const ExactnessReport& report) {
  Json histograms = Json::object();
  for (const ExactnessHistogram& histogram : report.histograms) {
    Json buckets = Json::object();
    for (const ExactnessBucket& bucket : histogram.buckets) buckets[bucket.label] = bucket.trials;
    histograms[histogram.title] = std::move(buckets);
  }
  Json pairs = Json::array();
  for (const ExactnessPair& pair : report.pairs)
    pairs.push_back({{"conditions", {pair.first, pair.second}}, {"trials", pair.trials}});
  Json differences = Json::array();
  for (const ExactnessDifference& difference : report.differences) {
    Json item = {{"trial", difference.trial},
                 {"trial_seed", difference.trial_seed},
                 {"configuration", difference.configuration},
                 {"kind", difference.kind},
                 {"position", difference.position},
                 {"layer", nullptr},
                 {"what", difference.what}};
    if (difference.layer) item["layer"] = *difference.layer;
    differences.push_back(std::move(item));
  }
  Json out = {{"trials", report.trials},
              {"probes", report.probes},
              {"different", report.n_different},
              {"stopped", report.stopped},
              {"differences", std::move(differences)},
              {"tokens_compared", report.tokens_compared},
              {"hidden_states_compared", report.layer_rows_compared},
              {"histograms", std::move(histograms)},
              {"pairs", std::move(pairs)},
              {"pair_minimum", report.pair_minimum},
              {"uncovered", report.uncovered},
              {"remarks", report.remarks},
              {"digest", fmt::format("{:016x}", report.digest)}};
  if (!report.configuration.empty()) out["configuration"] = report.configuration;
  return out;
}

}  // namespace headrace::cli
