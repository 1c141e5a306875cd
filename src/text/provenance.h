#pragma once

#include <string>

namespace headrace {

/// One stretch of a prompt together with where it came from. A prompt is a vector of pieces; its text is
/// their concatenation. `trusted` is true only for text that the chat template itself wrote: text from a
/// message, a tool result or any other outside value is untrusted, and no part of it may become a special
/// token.
struct TextPiece {
  std::string text;
  bool trusted = false;
};

}  // namespace headrace
