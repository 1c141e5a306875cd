// Drafts from the text itself: what followed the last few tokens when they stood there before (prompt lookup,
// with a vote where it happened more than once; where a draft may branch, who was outvoted has a branch).
// Costs nothing, and is right where answers repeat their prompts or themselves: code, summaries, retrieved
// passages.
#pragma once

#include <memory>

#include "decode/drafter.h"

namespace headrace {

struct NgramOptions {
  uint32_t shortest = 2;         // tokens that must agree
  uint32_t longest = 16;         // longer agreements are as good
  uint32_t look_back = 1 << 16;  // tokens of the text that are searched
};

/// The trust class of a token is made of how many tokens agree and whether all that agree say the same.
std::unique_ptr<Drafter> make_ngram_drafter(const NgramOptions& options = {});

}  // namespace headrace
