#include "padded/padded_cache.h"

#include <algorithm>

#include "core/checked.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

Result<PaddedCache> PaddedCache::create(Backend& backend, MemoryLedger& ledger,
                                        std::span<const LayerGroup> groups, const PageFormat& format,
                                        uint32_t sequences, uint32_t columns, uint32_t max_rows) {
  PaddedCache cache;
  cache.backend_ = &backend;
  cache.specs_.assign(groups.begin(), groups.end());
  cache.format_ = format;
  cache.sequences_ = sequences;
  cache.pages_ = static_cast<uint32_t>(ceil_div(columns, format.page_tokens));
  const size_t pages = size_t{2} * sequences * cache.pages_ + 1;
  const size_t slots = size_t{sequences} * columns;
  const size_t most_runs = size_t{sequences} * (cache.pages_ + 1) + max_rows;
  for (const LayerGroup& group : groups) {
    if (group.recurrent()) {
      return make_error(Errc::unsupported, "a padded batch has no place for the states of recurrent layers");
    }
    const PageLayout layout = page_layout(group, format);
    HEADRACE_TRY(DeviceBuffer buffer,
                 backend.allocate(ledger, MemoryUse::kv, pages * layout.page_bytes, "padded KV cache",
                                  "a smaller context (-c) or fewer sequences would help"));
    const size_t plan_bytes = max_rows * (sizeof(KvSlot) + sizeof(AttentionItem) + sizeof(AttentionItemRow)) +
                              most_runs * sizeof(KvRun) + 4 * kAlignment;
    HEADRACE_TRY(DeviceBuffer plan,
                 backend.allocate(ledger, MemoryUse::scratch, plan_bytes, "attention plan"));
    GroupStep step;
    step.first_layer = first_layer_view(group, format, buffer.data());
    step.layer_bytes = layout.layer_bytes;
    cache.steps_.push_back(step);
    cache.buffers_.push_back(std::move(buffer));
    cache.plans_.push_back(std::move(plan));
  }
  HEADRACE_TRY(cache.moves_,
               backend.allocate(ledger, MemoryUse::scratch, 2 * slots * sizeof(KvSlot), "realignment"));
  cache.from_.reserve(slots);
  cache.to_.reserve(slots);
  return cache;
}

std::span<const GroupStep> PaddedCache::plan(std::span<const uint32_t> pads, uint32_t first, uint32_t count) {
  for (size_t g = 0; g < specs_.size(); ++g) {
    slots_.clear();
    runs_.clear();
    items_.clear();
    item_rows_.clear();
    for (size_t i = 0; i < pads.size(); ++i) plan_sequence(i, pads[i], first, count, specs_[g].window);
    size_t used = 0;
    const auto put = [&](const auto& values) {
      using T = std::remove_cvref_t<decltype(values[0])>;
      HEADRACE_CHECK(used + values.size() * sizeof(T) <= plans_[g].size());
      T* at = plans_[g].template as<T>(used);
      backend_->upload(at, values.data(), values.size() * sizeof(T));
      used = round_up(used + values.size() * sizeof(T), kAlignment);
      return at;
    };
    GroupStep& step = steps_[g];
    step.slots = put(slots_);
    step.plan = {.runs = put(runs_),
                 .items = put(items_),
                 .n_items = static_cast<uint32_t>(items_.size()),
                 .item_rows = put(item_rows_)};
  }
  return steps_;
}

// An item for the rows that have content, and one for each that pads.
void PaddedCache::plan_sequence(size_t sequence, uint32_t pad, uint32_t first, uint32_t count,
                                uint32_t window) {
  const uint32_t page_tokens = format_.page_tokens;
  const auto first_row = static_cast<uint32_t>(slots_.size());
  const uint32_t end = first + count;
  for (uint32_t column = first; column < end; ++column) {
    const KvSlot slot = {page_of(half_, sequence, column), column % page_tokens};
    slots_.push_back(slot);
    if (column >= pad) continue;
    items_.push_back({.first_run = static_cast<uint32_t>(runs_.size()),
                      .n_runs = 1,
                      .first_row = static_cast<uint32_t>(item_rows_.size()),
                      .n_rows = 1});
    runs_.push_back({slot.page, slot.slot, 1, 0});
    item_rows_.push_back({first_row + column - first, 0, 1, 0});
  }
  if (end <= pad) return;
  AttentionItem item = {.first_run = static_cast<uint32_t>(runs_.size()),
                        .first_row = static_cast<uint32_t>(item_rows_.size())};
  const auto first_seen = [&](uint32_t position) {
    return window == 0 || position + 1 <= window ? 0 : position + 1 - window;
  };
  const uint32_t content = std::max(first, pad);
  for (uint32_t column = content; column < end; ++column) {
    const uint32_t position = column - pad;
    item_rows_.push_back({first_row + column - first, first_seen(position), position + 1, 0});
  }
  for (uint32_t column = pad + first_seen(content - pad); column < end;) {
    const uint32_t in_page = page_tokens - column % page_tokens;
    const uint32_t run = std::min(in_page, end - column);
    runs_.push_back({page_of(half_, sequence, column), column % page_tokens, run, column - pad});
    column += run;
  }
  item.n_runs = static_cast<uint32_t>(runs_.size()) - item.first_run;
  item.n_rows = static_cast<uint32_t>(item_rows_.size()) - item.first_row;
  items_.push_back(item);
}

void PaddedCache::clear_half(size_t half, uint32_t columns) {
  const size_t pages = size_t{sequences_} * pages_;
  const uint64_t used = ceil_div(columns, format_.page_tokens);
  for (size_t g = 0; g < specs_.size(); ++g) {
    const size_t page_bytes = steps_[g].first_layer.page_bytes;
    std::byte* begin = buffers_[g].data() + half * pages * page_bytes;
    const std::byte* zeros = buffers_[g].data() + 2 * pages * page_bytes;
    for (size_t p = 0; p < pages; ++p) {
      if (p % pages_ < used) backend_->copy(begin + p * page_bytes, zeros, page_bytes);
    }
  }
}

void PaddedCache::realign(std::span<const uint32_t> from, std::span<const uint32_t> to,
                          std::span<const uint32_t> rows, uint32_t columns) {
  const size_t other = 1 - half_;
  clear_half(other, columns);
  from_.clear();
  to_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    for (uint32_t row = 0; row < rows[i]; ++row) {
      const uint32_t source = from[i] + row;
      const uint32_t target = to[i] + row;
      from_.push_back({page_of(half_, i, source), source % format_.page_tokens});
      to_.push_back({page_of(other, i, target), target % format_.page_tokens});
    }
  }
  auto* device_from = moves_.as<KvSlot>();
  KvSlot* device_to = device_from + from_.size();
  backend_->upload(device_from, from_.data(), from_.size() * sizeof(KvSlot));
  backend_->upload(device_to, to_.data(), to_.size() * sizeof(KvSlot));
  for (size_t g = 0; g < specs_.size(); ++g) {
    backend_->move_kv(steps_[g].first_layer, steps_[g].layer_bytes, specs_[g].n_layers, device_from,
                      device_to, from_.size());
  }
  half_ = other;
}

}  // namespace headrace
