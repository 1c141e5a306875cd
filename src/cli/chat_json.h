// A conversation as JSON: what apply-template reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "text/chat_template.h"

namespace headrace::cli {

inline constexpr uint64_t kMaxChatJsonBytes = uint64_t{64} << 20;

/// Messages have to be objects, of which a role has to be a string; what else is in them is the template's
/// business. Fails with usage, naming `name` and the field.
Status check_chat_messages(const nlohmann::ordered_json& messages, std::string_view name);

/// Puts the fields of `json` (messages, tools, add_generation_prompt, bos_token, eos_token; all others into
/// `extra`) over those of `input`. Fails with usage, naming `name` and the field, or out_of_budget beyond the
/// limits of json_limits.h.
Result<ChatInput> parse_chat_json(std::string_view json, std::string_view name, ChatInput input);

}  // namespace headrace::cli
