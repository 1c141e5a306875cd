// From what a user says ("-m smollm2:135m -t 4") to an engine that is ready to answer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cli/options.h"
#include "core/memory_ledger.h"
#include "core/result.h"
#include "engine/engine.h"
#include "formats/model_file.h"
#include "ops/cpu/tier.h"
#include "text/tokenizer.h"

namespace headrace::cli {

/// The tier that HEADRACE_CPU names or else the best one; an unknown or missing tier is a usage error.
Result<cpu::Tier> chosen_tier();

/// The file that -m means, opened and checked, without its weights.
Result<ModelFile> open_model_file(const ModelFlags& flags);

/// Whether this model's texts begin with a token for their beginning.
bool adds_bos(const Tokenizer& tokenizer);

struct OpenModel {
  std::string path;
  uint64_t file_bytes = 0;  // of the file with the weights
  std::unique_ptr<MemoryLedger> ledger;  // outlives the engine
  Tokenizer tokenizer;
  std::unique_ptr<Engine> engine;
  std::string backend;      // "cpu avx512, exact, 2 threads": for the figures
  double load_seconds = 0;  // warm-up included
};

/// Loads the model and warms it up. Shows progress on standard error; stops on Ctrl-C with cancelled.
Result<OpenModel> open_model(const ModelFlags& flags, const EngineFlags& engine_flags);

}  // namespace headrace::cli
