// How much of a prompt came from the prefix cache, and why not more.
#pragma once

#include <cstdint>
#include <string_view>

namespace headrace {

enum class ReuseLimit : uint8_t {
  whole,      // all that can be reused was: the last token is always computed, for its logits
  different,  // no cached text goes on like this prompt
  retired,    // a layer group with a window no longer has the pages that the next token would see
  outputs,    // the tokens from here on are to be scored, so they are computed
  no_page,    // there was no page for a copy of the last, shared one
  off,        // the prefix cache is switched off
};

std::string_view name_of(ReuseLimit limit);

struct Reuse {
  uint32_t tokens = 0;
  ReuseLimit limit = ReuseLimit::different;
};

}  // namespace headrace
