// EQSPEC: batch speculation with padding, as the paper's reference has it (papers: batch speculative
// decoding, 2.3, 2.4), to be measured beside the ragged engine.
//
// Batches are static: a sequence that has ended keeps its place until all have. Prompts are padded on the
// left to one rectangle; each round everybody checks as many drafts as the sequence nearest its limit may
// have, then the texts are unpadded, longer by what was accepted, padded to the longest again, and all keys
// and values are copied to where they stand now. Answers are those of plain decoding, bit for bit.
#pragma once

#include "engine/engine.h"

namespace headrace {

/// An engine that takes EngineOptions but for policies, prefix cache and observers; drafts are of fixed
/// length, by one drafter, and checked by the coupled rule (others are refused). Requests that score their
/// prompts are refused; priorities and deadlines mean nothing. The time that padding costs is traced as the
/// phase "align". Fails as Engine::create.
Result<std::unique_ptr<Engine>> make_padded_engine(std::unique_ptr<Backend> backend,
                                                   std::unique_ptr<Model> model, MemoryLedger& ledger,
                                                   const EngineOptions& options);

}  // namespace headrace
