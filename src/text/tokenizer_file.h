// The tokenizer that a model's files hold, whichever form they have.
#pragma once

#include "core/result.h"
#include "formats/model_file.h"
#include "text/tokenizer.h"

namespace headrace {

/// As load_tokenizer(GgufFile) or load_tokenizer_json(). A folder without tokenizer.json is not_found.
Result<Tokenizer> load_tokenizer(const ModelFile& file);

}  // namespace headrace
