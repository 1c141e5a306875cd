// The files tokenizer.json and tokenizer_config.json as data, read within the limits of tokenizer_json.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/result.h"

namespace headrace {

/// The two long lists are kept apart from the document: as JSON values they would take many times their size.
struct TokenizerJsonFile {
  nlohmann::json document;  // an object, without model.vocab (if that is an object) and model.merges
  std::vector<std::pair<std::string, int64_t>> vocab;  // as in the file: ids may be anything
  std::vector<std::string> merges;  // "left right"; each has one space, with something on both sides
};

/// Fails with bad_model for what is not JSON, for a name that an object has twice and for a vocabulary or
/// merges of another form; with out_of_budget beyond a limit. Messages name the place in the file.
Result<TokenizerJsonFile> parse_tokenizer_json(std::string_view text);

/// Any other JSON file of the kind: an object.
Result<nlohmann::json> parse_tokenizer_config(std::string_view text);

}  // namespace headrace
