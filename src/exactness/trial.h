// What happens in a trial of exactness.h: decided beforehand, from the seed and the trial's number alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "exactness/probe.h"

namespace headrace::exactness {

inline constexpr uint32_t kSequences = 64;
/// Rows of a step: a chunk of 513 and 63 neighbours that write.
inline constexpr uint32_t kBatchRows = 576;
inline constexpr uint32_t kOutputRows = 16;

/// A neighbour. Steps are counted from the beginning of the trial.
struct Neighbour {
  uint32_t step = 0;
  uint32_t cancelled_at = 0;  // 0: not
  Request request;
};

/// Requests of high priority that come while the probe runs and take its place.
struct Push {
  uint32_t after = 1;  // steps in which the probe had rows
  bool pages = false;  // the pages of one context are all there is from now on; else no place is left to run
  std::vector<Request> requests = {};
};

struct Trial {
  uint32_t number = 0;
  uint64_t seed = 0;
  size_t tier = 0;
  uint32_t probe = 0;
  uint32_t probe_step = 0;
  int32_t priority = 0;
  uint32_t n = 1;       // answers that the probe asks for; the others are its nearest neighbours
  uint32_t choice = 0;  // which of them is compared
  uint32_t batch = 1;   // the probe and its neighbours
  StepLimits limits;
  std::vector<Request> before;  // fill the cache, one after the other
  std::string cache;            // how, in words
  std::vector<Neighbour> neighbours;
  std::vector<Push> pushes;

  std::string text(const ExactnessOptions& options, const Probe& asked) const;
};

/// Pure. `probes` as make_probes() gives them for these options.
Trial plan_trial(const ExactnessOptions& options, const ModelShape& shape, std::span<const Probe> probes,
                 uint32_t number);

/// The tier of a trial alone, which is cheap.
size_t tier_of_trial(const ExactnessOptions& options, uint32_t number);

/// The probe as the trial asks for it.
Request asked_request(const Trial& trial, const Probe& probe);

}  // namespace headrace::exactness
