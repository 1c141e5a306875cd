// A folder as Hugging Face publishes it, as a Checkpoint.
#pragma once

#include "models/checkpoint.h"

namespace headrace {

Result<std::unique_ptr<Checkpoint>> open_hf_checkpoint(const HfFolder& folder);

}  // namespace headrace
