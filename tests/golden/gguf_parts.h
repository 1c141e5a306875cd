// A good GGUF file cut into keys and tensors, to be put together again in other ways.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::golden {

struct GgufKeyPart {
  std::string key;
  uint32_t type;
  std::string value;  // as the file encodes it
};

struct GgufTensorPart {
  std::string name;
  uint32_t type;
  std::vector<uint64_t> dims;
  std::string data;
};

struct GgufParts {
  std::vector<GgufKeyPart> keys;
  std::vector<GgufTensorPart> tensors;
  uint32_t alignment = 32;

  /// The file, which must be good.
  explicit GgufParts(std::string_view file);
  std::string bytes() const;
};

}  // namespace headrace::golden
