// What /set changes in the middle of a conversation, by the names and within the limits of the flags.
#pragma once

#include <cstdint>
#include <string>

#include "cli/options.h"
#include "core/result.h"

namespace headrace::cli {

struct ChatSettings {
  SamplingFlags sampling;
  int64_t predict = -1;
};

/// `name` is a long flag without its dashes: "temperature", "top-k". Fails with usage, naming the range or
/// the names that there are, and changes nothing then.
Status change_setting(ChatSettings& settings, const std::string& name, const std::string& value);

/// One line per setting: name and value.
std::string describe(const ChatSettings& settings);

}  // namespace headrace::cli
