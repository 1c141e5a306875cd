// Renders a template with some variables, for the tests of this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"

namespace headrace::jinja {

/// The variables are untrusted, as a request's are.
inline Result<std::vector<TextPiece>> render_pieces(std::string_view source,
                                                    std::string_view variables = "{}") {
  HEADRACE_TRY(const ChatTemplate chat_template, ChatTemplate::parse(source, "test"));
  ChatInput input;
  input.extra = nlohmann::ordered_json::parse(variables);
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  return chat_template.render(input);
}

/// The text, or "error: " and the message.
inline std::string render(std::string_view source, std::string_view variables = "{}") {
  const Result<std::vector<TextPiece>> pieces = render_pieces(source, variables);
  if (!pieces) return "error: " + pieces.error().message;
  std::string text;
  for (const TextPiece& piece : *pieces) text += piece.text;
  return text;
}

/// The text with untrusted pieces in square brackets.
inline std::string render_marked(std::string_view source, std::string_view variables = "{}") {
  const Result<std::vector<TextPiece>> pieces = render_pieces(source, variables);
  if (!pieces) return "error: " + pieces.error().message;
  std::string text;
  for (const TextPiece& piece : *pieces) text += piece.trusted ? piece.text : '[' + piece.text + ']';
  return text;
}

}  // namespace headrace::jinja
