// The AVX-512 kernels with sums in whatever order is cheapest: what `exact` is compared with.
#pragma once

#include "ops/cpu/kernel_table.h"

namespace headrace::cpu {

const KernelTable& free_order_kernels();

}  // namespace headrace::cpu
