#include "ops/cpu/tier.h"

#include <array>

namespace headrace::cpu {
namespace {

constexpr std::array<std::string_view, kTiers> kNames = {"portable", "avx2", "avx512", "amx"};

// __builtin_cpu_supports also asks the operating system whether it saves the registers.
std::optional<std::string> missing_feature(Tier tier) {
  const auto lacks = [](const char* feature) { return fmt::format("this processor lacks {}", feature); };
  if (tier == Tier::avx2) {
    if (!__builtin_cpu_supports("avx2")) return lacks("AVX2");
    if (!__builtin_cpu_supports("fma")) return lacks("FMA");
    if (!__builtin_cpu_supports("f16c")) return lacks("F16C");
  }
  if (tier == Tier::avx512) {
    if (!__builtin_cpu_supports("avx512f")) return lacks("AVX-512F");
    if (!__builtin_cpu_supports("avx512bw")) return lacks("AVX-512BW");
    if (!__builtin_cpu_supports("avx512dq")) return lacks("AVX-512DQ");
    if (!__builtin_cpu_supports("avx512vl")) return lacks("AVX-512VL");
    if (!__builtin_cpu_supports("avx512vnni")) return lacks("AVX-512 VNNI");
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(Tier tier) {
  return kNames[static_cast<size_t>(tier)];
}

std::optional<Tier> tier_from_name(std::string_view name) {
  for (size_t i = 0; i < kTiers; ++i) {
    if (kNames[i] == name) return static_cast<Tier>(i);
  }
  return std::nullopt;
}

const KernelTable* kernel_table(Tier tier) {
  switch (tier) {
    case Tier::portable:
      return &portable_kernels();
    case Tier::avx2:
      return &avx2_kernels();
    case Tier::avx512:
      return &avx512_kernels();
    case Tier::amx:
      return nullptr;
  }
  return nullptr;
}

std::optional<std::string> missing_for(Tier tier) {
  if (kernel_table(tier) == nullptr) return "not built into this program";
  return missing_feature(tier);
}

std::vector<Tier> available_tiers() {
  std::vector<Tier> tiers;
  for (size_t i = 0; i < kTiers; ++i) {
    if (!missing_for(static_cast<Tier>(i))) tiers.push_back(static_cast<Tier>(i));
  }
  return tiers;
}

Result<Tier> choose_tier(std::string_view forced) {
  if (forced.empty()) return available_tiers().back();
  const std::optional<Tier> tier = tier_from_name(forced);
  if (!tier) {
    return make_error(Errc::usage, "HEADRACE_CPU={}: expected portable, avx2, avx512 or amx", forced);
  }
  if (const auto missing = missing_for(*tier)) {
    return make_error(Errc::unsupported, "HEADRACE_CPU={}: {}", forced, *missing);
  }
  return *tier;
}

}  // namespace headrace::cpu
