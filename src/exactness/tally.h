// Counts what occurred in the trials of exactness.h, and says what did not occur often enough.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "exactness/probe.h"
#include "exactness/run.h"
#include "exactness/trial.h"

namespace headrace::exactness {

/// Index of the bucket of a step with so many rows (1, 2-4, 5-16, 17-63, 64-255, 256+), or of a chunk
/// (1, 2-7, 8-16, 17-64, 65-510, 511+).
uint32_t row_bucket(uint32_t rows);
uint32_t chunk_bucket(uint32_t rows);

class Tally {
 public:
  Tally(const ExactnessOptions& options, const ModelShape& shape);

  void add(const Trial& trial, const Probe& probe, const Facts& facts);
  /// Fills in histograms, pairs and what is missing.
  void report(ExactnessReport& report) const;

 private:
  static constexpr size_t kConditions = 5;

  const ModelShape shape_;
  uint32_t trials_ = 0;
  std::vector<ExactnessHistogram> histograms_;
  std::array<std::array<uint32_t, kConditions>, kConditions> together_{};
};

}  // namespace headrace::exactness
