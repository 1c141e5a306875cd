// How far the reading of a long prompt is, as a line on the terminal that goes away before the answer begins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cli/progress.h"

namespace headrace::cli {

class PrefillProgress {
 public:
  /// Silent with `quiet`, where standard error is no terminal, and for the first second.
  PrefillProgress(size_t prompt_tokens, uint32_t batch_rows, bool quiet);

  /// After each step of the engine.
  void step();
  /// Before anything else is written.
  void finish() { progress_.finish(); }

 private:
  size_t prompt_tokens_;
  uint32_t batch_rows_;
  size_t done_ = 0;
  Progress progress_;
};

}  // namespace headrace::cli
