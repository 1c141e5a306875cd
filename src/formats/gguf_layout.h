// Where the tensors of a GGUF file lie, and whether they may lie there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"
#include "formats/gguf.h"

namespace headrace {

/// Turns each tensor's offset, which a file counts from `data_begin`, into one from the beginning of `file`,
/// and sets its data. Fails with bad_model where a shape overflows or has no whole blocks, an offset is not
/// aligned, or an extent does not lie inside the file.
Status place_tensors(std::span<const std::byte> file, uint64_t data_begin, uint64_t alignment,
                     std::vector<FileTensor>& tensors);

/// Fails with bad_model if two placed tensors share a byte.
Status check_overlaps(const std::vector<FileTensor>& tensors);

}  // namespace headrace
