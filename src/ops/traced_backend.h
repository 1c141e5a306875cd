// A backend that records in a trace when the ops of another one ran, and on what shapes.
#pragma once

#include <memory>

#include "core/trace.h"
#include "ops/backend.h"

namespace headrace {

/// `trace` must outlive the backend. Copies between host and device are host work: they are not recorded.
std::unique_ptr<Backend> make_traced_backend(std::unique_ptr<Backend> inner, Trace& trace);

}  // namespace headrace
