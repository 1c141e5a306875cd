// The kernels of the tier amx for machines that have AVX-512 but no tiles: same code, tiles are loops.
#pragma once

#include "ops/cpu/machine_kernels.h"

namespace headrace::cpu {

const KernelTable& emulated_amx_kernels();
const MachineKernels& emulated_amx_bf16_kernels();

}  // namespace headrace::cpu
