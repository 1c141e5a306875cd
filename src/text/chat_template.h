// Chat templates: from messages to the text of a prompt, as Hugging Face's apply_chat_template writes it.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/result.h"
#include "text/provenance.h"

namespace headrace {

struct ChatMessage {
  std::string role;
  std::string content;
};

/// What a template gets to see.
struct ChatInput {
  /// An array of objects, usually with role and content (a string, null or a list of parts); whatever else
  /// the model's template reads may stand there too (tool_calls, reasoning_content, ...). Never trusted.
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  /// An array of tool descriptions, or null for none. Never trusted.
  nlohmann::ordered_json tools;
  bool add_generation_prompt = true;
  /// The model's own special tokens; trusted.
  std::string bos_token;
  std::string eos_token;
  /// Further variables, an object or null: enable_thinking and the like. Never trusted. The names above win.
  nlohmann::ordered_json extra;
  /// The moment that strftime_now tells; the present if missing.
  std::optional<std::time_t> now;
};

/// `messages` for ChatInput.
nlohmann::ordered_json to_json(const std::vector<ChatMessage>& messages);

/// A parsed template. Immutable, so any number of threads may render it at once.
class ChatTemplate {
 public:
  /// Parses Jinja2 source with Hugging Face's settings (trim_blocks, lstrip_blocks, break and continue,
  /// {% generation %}). `name` is for messages: "chat template NAME line 12: ...". Fails with bad_model
  /// (syntax), unsupported (a tag, filter or test that we lack, by name) or out_of_budget (size, nesting).
  static Result<ChatTemplate> parse(std::string_view source, std::string name);

  ChatTemplate(ChatTemplate&& other) noexcept;
  ChatTemplate& operator=(ChatTemplate&& other) noexcept;
  ~ChatTemplate();

  /// The prompt, neighbouring pieces differing in trust. Bytes are trusted only if the template, or the
  /// special tokens in `input`, wrote them; text that went through the template from anywhere else stays
  /// untrusted.
  ///
  /// Fails with usage if the template refuses the conversation (raise_exception) or trips over it,
  /// unsupported where we stop short of Jinja2, out_of_budget beyond the limits of jinja/limits.h.
  /// Thread-safe.
  Result<std::vector<TextPiece>> render(const ChatInput& input) const;

  const std::string& name() const { return name_; }

 private:
  struct Program;
  ChatTemplate(std::string name, std::unique_ptr<const Program> program);

  std::string name_;
  std::unique_ptr<const Program> program_;
};

}  // namespace headrace
