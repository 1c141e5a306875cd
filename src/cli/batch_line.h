// A line of a batch, as OpenAI's batch files have them: {"custom_id", "method", "url", "body"}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/json_fields.h"
#include "decode/sampler.h"

namespace headrace::cli {

/// Of one line: a prompt as long as any context, in text, many times over.
inline constexpr size_t kMaxBatchLineBytes = size_t{16} << 20;
inline constexpr size_t kMaxCustomIdBytes = 512;
/// Answers to one prompt.
inline constexpr uint32_t kMaxBatchChoices = 128;
inline constexpr uint32_t kMaxChatTopLogprobs = 20;
inline constexpr uint32_t kMaxCompletionLogprobs = 5;

enum class BatchEndpoint : uint8_t { chat, completions };

/// What a line asks for. Nothing in it depends on a model: token ids may be beyond the vocabulary.
struct BatchRequest {
  BatchEndpoint endpoint = BatchEndpoint::chat;
  std::string custom_id;
  std::string model;  // as the line names it; empty: it doesn't

  nlohmann::ordered_json messages;                         // chat: an array of objects
  nlohmann::ordered_json tools;                            // chat: an array, or null
  std::variant<std::string, std::vector<int32_t>> prompt;  // completions: a text or its tokens

  std::optional<uint32_t> max_tokens;  // none: until the model ends the answer or the context is full
  uint32_t n = 1;
  SamplingParams sampling;  // its seed comes from custom_id if the line has none
  std::vector<std::string> stops;
  bool ignore_eos = false;
  int32_t priority = 0;
  uint64_t cache_salt = 0;
};

struct BatchLine {
  std::optional<std::string> custom_id;  // if it could be read, even of a line that is refused
  std::variant<BatchRequest, Refusal> content;
  bool body_refused = false;  // the line is a request, and its body is at fault
};

/// Understands a line, strictly: fields that are not known, of the wrong type or out of range are refused by
/// name. Pure; `line` may be anything.
BatchLine parse_batch_line(std::string_view line);

}  // namespace headrace::cli
