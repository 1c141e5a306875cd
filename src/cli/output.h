// Standard output belongs to the answer; everything else goes to standard error.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/result.h"

namespace headrace::cli {

using Json = nlohmann::ordered_json;

/// Writes to standard output and flushes. If the reader has gone away the program ends here, quietly and with
/// exit code 0; other failures (a full disk) are io errors.
Status write_out(std::string_view text);

/// One JSON value and a newline. Bytes that are not UTF-8 become U+FFFD.
Status write_json(const Json& value);

/// A line on standard error.
void note(std::string_view line);

/// A warning on standard error, unless --quiet has silenced the log.
void warn(std::string_view message);

/// "12,345,678".
std::string grouped(uint64_t number);

}  // namespace headrace::cli
