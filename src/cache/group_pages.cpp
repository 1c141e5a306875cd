#include "cache/group_pages.h"

#include "core/checked.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

PageLayout page_layout(const LayerGroup& group, const PageFormat& format) {
  PageLayout layout;
  size_t rest = 0;
  if (group.recurrent()) {
    layout.value_offset = round_up(group.state_bytes, kAlignment);
    rest = round_up(size_t{group.input_bytes} * format.page_tokens, kAlignment);
  } else {
    const size_t elements = size_t{group.n_kv_heads} * group.d_head * format.page_tokens;
    layout.value_offset = round_up(elements * info_of(format.key_type).block_bytes, kAlignment);
    rest = round_up(elements * info_of(format.value_type).block_bytes, kAlignment);
  }
  layout.layer_bytes = layout.value_offset + rest;
  layout.page_bytes = layout.layer_bytes * group.n_layers;
  return layout;
}

uint32_t positions_seen(const LayerGroup& group) {
  return group.recurrent() ? 2 : group.window;
}

KvView first_layer_view(const LayerGroup& group, const PageFormat& format, std::byte* pages) {
  const PageLayout layout = page_layout(group, format);
  return {.pages = pages,
          .page_bytes = layout.page_bytes,
          .key_offset = 0,
          .value_offset = layout.value_offset,
          .key_type = format.key_type,
          .value_type = format.value_type,
          .n_kv_heads = group.n_kv_heads,
          .d_head = group.d_head,
          .page_tokens = format.page_tokens,
          .rope = {}};
}

}  // namespace headrace
