#include "models/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/file.h"
#include "models/transformer.h"
#include "ops/elementary.h"

namespace headrace {
namespace {

// Pair i turns once in this many positions.
double wavelength(const RopeSpec& rope, uint32_t i) {
  return 2 * std::numbers::pi * pow_f64(static_cast<double>(rope.base), 2.0 * i / rope.d_rotary);
}

Result<uint64_t> first_context(const Checkpoint& checkpoint, uint64_t otherwise) {
  constexpr std::string_view kKey = "rope.scaling.original_context_length";
  HEADRACE_TRY(const uint64_t length, checkpoint.uint_or(kKey, otherwise));
  if (length == 0 || length > kMaxContext) {
    return make_error(Errc::bad_model, "{}: {}: expected 1 to {}, found {}", checkpoint.name(),
                      checkpoint.label(kKey), kMaxContext, length);
  }
  return length;
}

Result<std::vector<float>> llama3_divisors(const Checkpoint& checkpoint, double factor,
                                           const RopeSpec& rope) {
  HEADRACE_TRY(const double low, checkpoint.number("rope.scaling.low_freq_factor"));
  HEADRACE_TRY(const double high, checkpoint.number("rope.scaling.high_freq_factor"));
  if (!(low > 0) || !(high > low)) {
    return make_error(Errc::bad_model, "{}: {} {} and high_freq_factor {}: expected 0 < low < high",
                      checkpoint.name(), checkpoint.label("rope.scaling.low_freq_factor"), low, high);
  }
  HEADRACE_TRY(const uint64_t context, first_context(checkpoint, 0));
  std::vector<float> divisors;
  for (uint32_t i = 0; i < rope.d_rotary / 2; ++i) {
    const double turns = static_cast<double>(context) / wavelength(rope, i);  // within the first context
    const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    divisors.push_back(static_cast<float>(1 / ((1 - kept) / factor + kept)));
  }
  return divisors;
}

// The pair that turns `turns` times within the first context.
double pair_of_turns(const RopeSpec& rope, uint64_t context, double turns) {
  return rope.d_rotary * log_f64(static_cast<double>(context) / (turns * 2 * std::numbers::pi)) /
         (2 * log_f64(static_cast<double>(rope.base)));
}

Result<std::vector<float>> yarn_divisors(const Checkpoint& checkpoint, double factor, uint64_t context,
                                         const RopeSpec& rope) {
  HEADRACE_TRY(const double fast, positive(checkpoint, "rope.scaling.yarn_beta_fast", 32));
  HEADRACE_TRY(const double slow, positive(checkpoint, "rope.scaling.yarn_beta_slow", 1));
  const double last = rope.d_rotary - 1.0;
  const double low = std::clamp(std::floor(pair_of_turns(rope, context, fast)), 0.0, last);
  double high = std::clamp(std::ceil(pair_of_turns(rope, context, slow)), 0.0, last);
  if (high <= low) high = low + 0.001;
  std::vector<float> divisors;
  for (uint32_t i = 0; i < rope.d_rotary / 2; ++i) {
    const double stretched = std::clamp((i - low) / (high - low), 0.0, 1.0);
    divisors.push_back(static_cast<float>(1 / (stretched / factor + (1 - stretched))));
  }
  return divisors;
}

// What converters note for variants of YaRN that are not computed here.
Status refuse_yarn_variants(const Checkpoint& checkpoint) {
  for (const char* key :
       {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor"}) {
    HEADRACE_TRY(const double value, checkpoint.number_or(key, 1));
    if (value == 1) continue;
    return make_error(Errc::unsupported, "{}: {}: {} is not supported (1 is)", checkpoint.name(),
                      checkpoint.label(key), value);
  }
  return {};
}

}  // namespace

Result<float> read_rope_scaling(const Checkpoint& checkpoint, uint32_t context_length, RopeSpec& rope) {
  HEADRACE_TRY(const double base, positive(checkpoint, "rope.freq_base", 10000));
  rope.base = static_cast<float>(base);
  HEADRACE_TRY(const std::string type, checkpoint.string_or("rope.scaling.type", "none"));
  if (type == "none") return 1.0F;
  if (type != "linear" && type != "llama3" && type != "yarn") {
    return make_error(Errc::unsupported, "{}: {}: '{}' is not supported (linear, llama3 and yarn are)",
                      checkpoint.name(), checkpoint.label("rope.scaling.type"), printable(type));
  }
  HEADRACE_TRY(const double factor, positive(checkpoint, "rope.scaling.factor", 1));
  if (type == "linear") {
    rope.linear_factor = static_cast<float>(factor);
    return 1.0F;
  }
  if (rope.base <= 1) {
    return make_error(Errc::bad_model, "{}: {}: expected more than 1 with scaling '{}', found {}",
                      checkpoint.name(), checkpoint.label("rope.freq_base"), type, base);
  }
  if (type == "llama3") {
    HEADRACE_TRY(rope.factors, llama3_divisors(checkpoint, factor, rope));
    return 1.0F;
  }
  HEADRACE_RETURN_IF_ERROR(refuse_yarn_variants(checkpoint));
  HEADRACE_TRY(const uint64_t context, first_context(checkpoint, context_length));
  HEADRACE_TRY(rope.factors, yarn_divisors(checkpoint, factor, context, rope));
  const double longer = factor > 1 ? 0.1 * log_f64(factor) + 1 : 1;
  HEADRACE_TRY(const double multiplied, positive(checkpoint, "rope.scaling.attention_factor", longer));
  return static_cast<float>(multiplied);
}

}  // namespace headrace
