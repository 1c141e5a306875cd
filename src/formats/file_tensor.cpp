#include "formats/file_tensor.h"

#include <fmt/format.h>

namespace headrace {

std::string shape_text(const FileTensor& tensor) {
  std::string out;
  for (uint32_t d = 0; d < tensor.n_dims; ++d) out += fmt::format("{}{}", d == 0 ? "" : ", ", tensor.dims[d]);
  return '[' + out + ']';
}

}  // namespace headrace
