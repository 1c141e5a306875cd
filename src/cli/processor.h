// The processor under us, asked by the CPUID instruction: it is right in an emulator, too, where
// /proc/cpuinfo shows the host.
#pragma once

#include <string>
#include <vector>

namespace headrace::cli {

/// "AMD EPYC 9B45", or "unknown".
std::string processor_name();

/// Those instruction sets that kernels could use, in the spelling of /proc/cpuinfo.
std::vector<std::string> processor_features();

}  // namespace headrace::cli
