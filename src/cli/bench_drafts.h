// headrace bench --prompts: how much faster drafts make real answers, against plain decoding in the same run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_world.h"
#include "engine/engine.h"
#include "engine/text_generator.h"

namespace headrace::cli {

struct DraftPrompt {
  std::string category;
  std::vector<int32_t> tokens;
  uint64_t seed = 0;
};

/// One pass over some prompts, so many at once.
struct DraftPass {
  double decode_seconds = 0;   // of steps without a row of a prompt
  uint64_t decode_tokens = 0;  // that they brought
  uint64_t decode_steps = 0;
  DraftTally drafts;
  std::vector<std::vector<int32_t>> answers;

  double tokens_per_second() const {
    return decode_seconds > 0 ? static_cast<double>(decode_tokens) / decode_seconds : 0;
  }
};

/// A prompt, answered in up to so many tokens.
Request request_for(const DraftPrompt& prompt, uint32_t most_tokens, const EndTokens& ends,
                    float temperature);

/// Lists mean nothing with --prompts, but for --parallel.
Status check_one_each(const BenchFlags& flags);

/// Prompts of --prompts, by --category and --most-prompts.
Result<std::vector<DraftPrompt>> read_prompts(const BenchFlags& flags, const Tokenizer& tokenizer);

/// Tokens of an answer that stand in a run of eight or more which the answer has brought before: small models
/// loop, and loops flatter drafts.
uint64_t repeated_tokens(std::span<const int32_t> answer);

}  // namespace headrace::cli
