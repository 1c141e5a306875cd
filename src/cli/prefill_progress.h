// How far the reading of a long prompt is, as a line on the terminal that goes away before the answer begins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cli/progress.h"
#include "engine/engine.h"

namespace headrace::cli {

class PrefillProgress {
 public:
  /// Silent with `quiet`, where standard error is no terminal, and for the first second.
  /// `engine` must outlive it and do nothing else meanwhile.
  PrefillProgress(const Engine& engine, size_t prompt_tokens, bool quiet);

  /// After each step of the engine.
  void step();
  /// Before anything else is written.
  void finish() { progress_.finish(); }

 private:
  size_t read() const;

  const Engine& engine_;
  size_t prompt_tokens_;
  size_t before_;
  bool done_ = false;
  Progress progress_;
};

}  // namespace headrace::cli
