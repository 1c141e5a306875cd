// Drafts by the model itself with some of its layers left out. They read the target's own keys and values and
// write theirs where the step that checks them will write: nothing else is kept.
#pragma once

#include <memory>
#include <vector>

#include "engine/engine.h"

namespace headrace {

/// `layers`[l]: whether layer l runs; one for each of the target's. The first must.
Result<std::unique_ptr<Drafter>> make_self_drafter(const std::vector<bool>& layers,
                                                   const DrafterWorld& world);

}  // namespace headrace
