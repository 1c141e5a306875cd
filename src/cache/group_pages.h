// What a page of a layer group looks like.
#pragma once

#include "models/model.h"
#include "ops/step.h"

namespace headrace {

struct PageFormat {
  DType key_type = DType::F16;
  DType value_type = DType::F16;
  uint32_t page_tokens = 64;  // a multiple of 16
};

/// A page holds all layers of its group, one after the other:
///   attention  keys [n_kv_heads][d_head][page_tokens], values [n_kv_heads][page_tokens][d_head]
///   recurrent  the state at the page's first position, then page_tokens inputs
/// each part aligned to 64 bytes.
struct PageLayout {
  size_t value_offset = 0;  // of values, or inputs, in a layer
  size_t layer_bytes = 0;
  size_t page_bytes = 0;
};

PageLayout page_layout(const LayerGroup& group, const PageFormat& format);

/// Positions that a row sees, its own included; 0: all. A recurrent row needs the page of the position before
/// it.
uint32_t positions_seen(const LayerGroup& group);

/// Where the first layer of the group stands in pages that begin at `pages`.
KvView first_layer_view(const LayerGroup& group, const PageFormat& format, std::byte* pages);

}  // namespace headrace
