// A GGUF file as a Checkpoint.
#pragma once

#include "models/checkpoint.h"

namespace headrace {

Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const GgufFile& file);

}  // namespace headrace
