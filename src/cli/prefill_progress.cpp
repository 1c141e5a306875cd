#include "cli/prefill_progress.h"

#include <unistd.h>
#include <algorithm>
#include <chrono>

namespace headrace::cli {

PrefillProgress::PrefillProgress(const Engine& engine, size_t prompt_tokens, bool quiet)
    : engine_(engine),
      prompt_tokens_(prompt_tokens),
      before_(read()),
      progress_("reading the prompt", Progress::Unit::tokens, quiet || ::isatty(STDERR_FILENO) != 1,
                std::chrono::seconds(1)) {}

// Tokens of prompts that were computed or found in the cache since the engine was made.
size_t PrefillProgress::read() const {
  const EngineStats stats = engine_.stats();
  return stats.prompt_rows + stats.reused_tokens;
}

void PrefillProgress::step() {
  if (done_) return;
  const size_t so_far = read() - before_;
  // The step that reads the last of it also draws the first token.
  done_ = so_far >= prompt_tokens_;
  if (!done_) progress_.update(so_far, prompt_tokens_);
}

}  // namespace headrace::cli
