#include "program_backend.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "ops/cpu/cpu_backend.h"
#include "ops/reference/fake_device.h"
#include "ops/reference/reference_backend.h"

namespace headrace::isa {

std::unique_ptr<Backend> program_backend() {
  const char* variable = std::getenv("HEADRACE_CPU");
  const std::string_view forced = variable == nullptr ? "" : variable;
  if (forced == "reference") {
    std::fputs("tier: reference\n", stderr);
    return make_reference_backend();
  }
  if (forced == "fake") {
    std::fputs("tier: fake\n", stderr);
    return make_fake_device();
  }
  const Result<cpu::Tier> tier = cpu::choose_tier(forced);
  if (!tier) {
    fmt::print(stderr, "{}\n", tier.error().message);
    std::exit(tier.error().code == Errc::unsupported ? kSkipped : EXIT_FAILURE);
  }
  fmt::print(stderr, "tier: {}\n", cpu::name_of(tier.value()));
  return make_cpu_backend(tier.value(), 1);
}

}  // namespace headrace::isa
