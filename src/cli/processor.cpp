#include "cli/processor.h"

#include <cpuid.h>

#include <array>
#include <cstring>

namespace headrace::cli {
namespace {

constexpr unsigned kBrandLeaf = 0x80000002;
constexpr unsigned kFeatureLeaf = 7;
constexpr unsigned kAmxBf16Bit = 22;
constexpr unsigned kAmxInt8Bit = 25;

}  // namespace

std::string processor_name() {
  std::array<char, 49> brand{};
  for (unsigned part = 0; part < 3; ++part) {
    std::array<unsigned, 4> words{};
    if (__get_cpuid(kBrandLeaf + part, &words[0], &words[1], &words[2], &words[3]) == 0) return "unknown";
    std::memcpy(brand.data() + 16 * part, words.data(), 16);
  }
  std::string name(brand.data());
  const size_t first = name.find_first_not_of(' ');
  if (first == std::string::npos) return "unknown";
  return name.substr(first, name.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> processor_features() {
  std::vector<std::string> features;
  const auto add = [&](bool has, const char* name) {
    if (has) features.emplace_back(name);
  };
  add(__builtin_cpu_supports("sse4.2") > 0, "sse4_2");
  add(__builtin_cpu_supports("avx") > 0, "avx");
  add(__builtin_cpu_supports("avx2") > 0, "avx2");
  add(__builtin_cpu_supports("fma") > 0, "fma");
  add(__builtin_cpu_supports("f16c") > 0, "f16c");
  add(__builtin_cpu_supports("avx512f") > 0, "avx512f");
  add(__builtin_cpu_supports("avx512bw") > 0, "avx512bw");
  add(__builtin_cpu_supports("avx512dq") > 0, "avx512dq");
  add(__builtin_cpu_supports("avx512vl") > 0, "avx512vl");
  add(__builtin_cpu_supports("avx512vnni") > 0, "avx512_vnni");
  add(__builtin_cpu_supports("avx512bf16") > 0, "avx512_bf16");
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(kFeatureLeaf, 0, &eax, &ebx, &ecx, &edx) != 0) {
    add((edx >> kAmxBf16Bit & 1) != 0, "amx_bf16");
    add((edx >> kAmxInt8Bit & 1) != 0, "amx_int8");
  }
  return features;
}

}  // namespace headrace::cli
