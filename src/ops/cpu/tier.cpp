#include "ops/cpu/tier.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "ops/cpu/machine_kernels.h"

namespace headrace::cpu {
namespace {

constexpr std::array<std::string_view, kTiers> kNames = {"portable", "avx2", "avx512", "amx"};

// Leaf 7 of CPUID, register EDX: g++ 12 has no names for these.
constexpr unsigned kCpuidAmxBf16 = 1U << 22;
constexpr unsigned kCpuidAmxTile = 1U << 24;
constexpr unsigned kCpuidAmxInt8 = 1U << 25;
// Linux gives the tiles' registers to processes that ask (arch_prctl).
constexpr int kArchReqXcompPerm = 0x1023;
constexpr int kTileDataFeature = 18;

bool has_feature(unsigned bit) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bit) != 0;
}

std::optional<std::string> missing_tiles() {
  if (!has_feature(kCpuidAmxTile)) return "this processor lacks AMX";
  if (!has_feature(kCpuidAmxInt8)) return "this processor lacks AMX int8";
  static const bool allowed = ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileDataFeature) == 0;
  if (!allowed) return "the system does not let programs use AMX";
  return std::nullopt;
}

// __builtin_cpu_supports also asks the operating system whether it saves the registers.
std::optional<std::string> missing_feature(Tier tier) {
  const auto lacks = [](const char* feature) { return fmt::format("this processor lacks {}", feature); };
  if (tier == Tier::avx2) {
    if (!__builtin_cpu_supports("avx2")) return lacks("AVX2");
    if (!__builtin_cpu_supports("fma")) return lacks("FMA");
    if (!__builtin_cpu_supports("f16c")) return lacks("F16C");
  }
  if (tier == Tier::avx512 || tier == Tier::amx) {
    if (!__builtin_cpu_supports("avx512f")) return lacks("AVX-512F");
    if (!__builtin_cpu_supports("avx512bw")) return lacks("AVX-512BW");
    if (!__builtin_cpu_supports("avx512dq")) return lacks("AVX-512DQ");
    if (!__builtin_cpu_supports("avx512vl")) return lacks("AVX-512VL");
    if (!__builtin_cpu_supports("avx512vnni")) return lacks("AVX-512 VNNI");
  }
  if (tier == Tier::amx) return missing_tiles();
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
      return &amx_kernels();
  }
  return nullptr;
}

const MachineKernels* machine_kernels(Tier tier) {
  if (tier == Tier::amx && has_feature(kCpuidAmxBf16)) return &amx_bf16_kernels();
  if (tier == Tier::avx512 && __builtin_cpu_supports("avx512bf16")) return &avx512_bf16_kernels();
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
