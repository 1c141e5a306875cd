// Ops on the CPU: one kernel tier, spread over a pool of threads. Which thread computes what never changes a
// bit: a task writes whole outputs.
#pragma once

#include "ops/backend.h"
#include "ops/cpu/tier.h"

namespace headrace {

namespace cpu {
struct MachineKernels;
}

/// threads >= 1. `tier` must be available (cpu::choose_tier).
std::unique_ptr<Backend> make_cpu_backend(cpu::Tier tier, size_t threads,
                                          Numerics numerics = Numerics::exact);
/// For tests of kernels. `machine`: null for level `exact`.
std::unique_ptr<Backend> make_cpu_backend(const cpu::KernelTable& kernels, const cpu::MachineKernels* machine,
                                          size_t threads);

}  // namespace headrace
