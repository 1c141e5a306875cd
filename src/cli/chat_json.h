// A conversation as JSON: what apply-template reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "text/chat_template.h"

namespace headrace::cli {

inline constexpr uint64_t kMaxChatJsonBytes = uint64_t{64} << 20;
/// Arrays and objects inside each other: more than any tool's schema, less than any stack.
inline constexpr int kMaxChatJsonDepth = 200;
/// Keys of one object: they are looked up one by one.
inline constexpr size_t kMaxChatJsonKeys = 10'000;

/// Puts the fields of `json` (messages, tools, add_generation_prompt, bos_token, eos_token; all others into
/// `extra`) over those of `input`. Messages have to be objects, of which a role has to be a string; what else
/// is in them is the template's business. Fails with usage, naming `name` and the field, or out_of_budget
/// beyond the limits above.
Result<ChatInput> parse_chat_json(std::string_view json, std::string_view name, ChatInput input);

}  // namespace headrace::cli
