// Every op as an obvious loop over the bytes of the model file, in the order that docs/numerics.md states. It
// is slow and it is the truth: each kernel tier must produce its bits.
#pragma once

#include "ops/backend.h"

namespace headrace {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace headrace
