#include "formats/gguf_layout.h"

#include <algorithm>
#include <optional>

#include "core/checked.h"
#include "core/file.h"

namespace headrace {
namespace {

std::optional<uint64_t> elements_of(const FileTensor& tensor) {
  std::optional<uint64_t> elements = 1;
  for (const uint64_t dim : tensor.dims) {
    if (elements) elements = checked_mul(*elements, dim);
  }
  return elements;
}

Status place(std::span<const std::byte> file, uint64_t data_begin, uint64_t alignment, FileTensor& tensor) {
  const DTypeInfo& info = info_of(tensor.type);
  const std::optional<uint64_t> elements = elements_of(tensor);
  if (!elements) return make_error(Errc::bad_model, "shape {}: 2^64 elements or more", shape_text(tensor));
  if (tensor.row_elements() % info.block_elements != 0) {
    return make_error(Errc::bad_model, "shape {}: a row must be a multiple of {}'s block of {} elements",
                      shape_text(tensor), info.name, info.block_elements);
  }
  if (tensor.offset % alignment != 0) {
    return make_error(Errc::bad_model, "offset {}: expected a multiple of the alignment {}", tensor.offset,
                      alignment);
  }
  const std::optional<uint64_t> size = bytes_of(tensor.type, *elements);
  const std::optional<uint64_t> begin = checked_add(data_begin, tensor.offset);
  const std::optional<uint64_t> end = size && begin ? checked_add(*begin, *size) : std::nullopt;
  if (!end || *end > file.size()) {
    return make_error(Errc::bad_model,
                      "truncated: {} {} at offset {} of the data, which begins at byte {}, does not "
                      "end inside the file's {} bytes",
                      info.name, shape_text(tensor), tensor.offset, data_begin, file.size());
  }
  tensor.offset = *begin;
  tensor.data = file.subspan(*begin, *size);
  return {};
}

}  // namespace

Status place_tensors(std::span<const std::byte> file, uint64_t data_begin, uint64_t alignment,
                     std::vector<FileTensor>& tensors) {
  for (FileTensor& tensor : tensors) {
    if (Status placed = place(file, data_begin, alignment, tensor); !placed) {
      return std::move(placed).error().in(fmt::format("tensor {}", printable(tensor.name)));
    }
  }
  return {};
}

Status check_overlaps(const std::vector<FileTensor>& tensors) {
  std::vector<const FileTensor*> order;
  for (const FileTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, &FileTensor::offset);
  for (size_t i = 1; i < order.size(); ++i) {
    const FileTensor& before = *order[i - 1];
    const FileTensor& after = *order[i];
    if (before.offset + before.data.size() > after.offset) {
      return make_error(Errc::bad_model, "tensors {} and {} overlap at byte {}", printable(before.name),
                        printable(after.name), after.offset);
    }
  }
  return {};
}

}  // namespace headrace
