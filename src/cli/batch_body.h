// The body of a batch request: OpenAI's parameters, and ours.
#pragma once

#include <optional>

#include <nlohmann/json.hpp>

#include "cli/batch_line.h"

namespace headrace::cli {

/// Reads `body`, an object, into `request`, whose endpoint says which parameters there are. Sets `refusal`
/// for the first field that is unknown, of the wrong type or out of range. docs/batch.md lists the fields.
void read_batch_body(const nlohmann::ordered_json& body, BatchRequest& request,
                     std::optional<Refusal>& refusal);

}  // namespace headrace::cli
