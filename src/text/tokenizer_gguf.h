// The tokenizer inside a GGUF file.
#pragma once

#include "core/result.h"
#include "text/tokenizer.h"

namespace headrace {

class GgufFile;

/// Reads the tokenizer.* keys of `file`; the tokenizer keeps nothing of the file. Fails with bad_model or
/// unsupported (another tokenizer.ggml.model than gpt2 and llama); messages begin with the file's name and
/// name the key.
Result<Tokenizer> load_tokenizer(const GgufFile& file);

}  // namespace headrace
