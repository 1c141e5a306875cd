// What an engine is asked to be: refused where it means nothing, completed by what fits.
#pragma once

#include "cache/state_store.h"
#include "engine/engine.h"

namespace headrace {

Status check_options(const EngineOptions& options);
/// What Engine::submit() refuses.
Status check_request(const Request& request, size_t vocab, uint32_t context);
/// Host memory that an engine's lists take once it is at work, its drafters' too: about, and rather more. The
/// context is a number, not 0.
uint64_t host_bytes(const ModelInfo& info, const EngineOptions& options);
StateStoreOptions store_options(const EngineOptions& options);
/// What was not asked for becomes what fits into the ledger; a tenth of what is free stays for the plan's
/// arrays and the rest of the program. `drafter` may be empty; what it says stays, too.
void choose_context(const Model& model, const MemoryLedger& ledger, const DrafterBytes& drafter,
                    EngineOptions& options);

}  // namespace headrace
