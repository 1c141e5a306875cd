// The reference behind the walls of a GPU: device memory is one arena that is shut while no op runs, so host
// code that peeks faults here as it would there. Keeps the rooms above ready for a device that this machine
// lacks.
#pragma once

#include "ops/backend.h"

namespace headrace {

/// Address space, not memory: pages are taken when they are first written.
inline constexpr size_t kFakeDeviceBytes = size_t{4} << 30;

/// Computes the bits of the reference. Host code that reads or writes device memory ends in SIGSEGV; an op
/// that is given host memory, or a range outside of one live DeviceBuffer, aborts with the op's name and the
/// argument's. Buffers beyond `arena_bytes` in all, or in pieces too small, are refused as out_of_budget.
std::unique_ptr<Backend> make_fake_device(size_t arena_bytes = kFakeDeviceBytes);

}  // namespace headrace
