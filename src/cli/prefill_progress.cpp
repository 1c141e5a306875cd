#include "cli/prefill_progress.h"

#include <unistd.h>
#include <algorithm>
#include <chrono>

namespace headrace::cli {

PrefillProgress::PrefillProgress(size_t prompt_tokens, uint32_t batch_rows, bool quiet)
    : prompt_tokens_(prompt_tokens),
      batch_rows_(batch_rows),
      progress_("reading the prompt", Progress::Unit::tokens, quiet || ::isatty(STDERR_FILENO) != 1,
                std::chrono::seconds(1)) {}

void PrefillProgress::step() {
  if (done_ >= prompt_tokens_) return;
  done_ = std::min<size_t>(prompt_tokens_, done_ + batch_rows_);
  // The step that reads the last of it also draws the first token.
  if (done_ < prompt_tokens_) progress_.update(done_, prompt_tokens_);
}

}  // namespace headrace::cli
