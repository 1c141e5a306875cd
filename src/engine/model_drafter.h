// Drafts by a smaller model with the target's vocabulary. It keeps keys and values of its own for every
// sequence, catches up with what was accepted since, and draws with the target's noise: where the two models
// agree on the logits they agree on the token, sampled or not.
#pragma once

#include <memory>

#include "decode/drafter.h"
#include "engine/engine.h"

namespace headrace {

/// Loads the model into the memory of `world.backend`, all of it booked as MemoryUse::drafts. Fails as
/// load_model() does, and with unsupported for another vocabulary than the target's.
Result<std::unique_ptr<Drafter>> make_model_drafter(const ModelFile& file, const DrafterWorld& world);

/// What such a drafter would take, in an engine with `options` and one context or another. Reads no weights.
Result<DrafterBytes> model_drafter_bytes(const ModelFile& file, Backend& backend,
                                         const EngineOptions& options);

}  // namespace headrace
