// Rewriting model-file rows into panels (panel.h) and back. Scalar, the same in every tier.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace headrace::cpu {

size_t panel_bytes(DType type, size_t k);

/// `rows` points at `n` <= 16 rows of k elements, row_bytes apart, as the file stores them.
void pack_panel(DType type, size_t k, size_t n, const std::byte* rows, std::byte* panel);

/// Columns [first, first + n) of a panel as floats: column c's input i goes to out[c * column_step + i *
/// input_step].
void decode_panel(DType type, const std::byte* panel, size_t k, size_t first, size_t n, float* out,
                  size_t column_step, size_t input_step);

}  // namespace headrace::cpu
