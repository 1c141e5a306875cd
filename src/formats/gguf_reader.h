// The parser behind GgufFile: turns bytes that may be anything into checked views of them, or an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/result.h"
#include "formats/gguf.h"

namespace headrace {

// Limits on what a file may claim. Far above every model that we know of, low enough that a hostile file
// costs little time and memory; memory is taken only for entries that have been read, never for claimed
// counts.
inline constexpr uint64_t kMaxMetadataKeys = 1 << 16;
inline constexpr uint64_t kMaxTensors = 1 << 17;
inline constexpr uint64_t kMaxNameBytes = 1 << 16;     // of a metadata key or a tensor's name
inline constexpr uint64_t kMaxStringBytes = 64 << 20;  // some files carry a whole tokenizer.json
inline constexpr uint64_t kMaxArrayElements = 1 << 24;
inline constexpr uint64_t kMinAlignment = 8;
inline constexpr uint64_t kMaxAlignment = 64 << 10;
inline constexpr uint64_t kDefaultAlignment = 32;

struct GgufContents {
  uint32_t version = 0;
  std::vector<GgufEntry> entries;   // in the file's order
  std::vector<FileTensor> tensors;  // in the file's order
  std::vector<uint32_t> by_key;     // indices of entries, sorted by key
  std::vector<uint32_t> by_name;    // indices of tensors, sorted by name
};

/// Time and memory are bounded by the size of `bytes`. Fails with bad_model or unsupported; the message says
/// what and where, but not in which file: the caller adds that.
Result<GgufContents> read_gguf(std::span<const std::byte> bytes);

}  // namespace headrace
