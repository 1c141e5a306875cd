#include "cache/kv_cache.h"

#include <algorithm>

#include "core/checked.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;

struct PageLayout {
  size_t key_bytes;  // of one layer
  size_t layer_bytes;
  size_t page_bytes;
};

PageLayout layout_of(const LayerGroup& group, const KvCacheOptions& options) {
  const size_t elements = size_t{group.n_kv_heads} * group.d_head * options.page_tokens;
  PageLayout layout = {};
  layout.key_bytes = round_up(elements * info_of(options.key_type).block_bytes, kAlignment);
  layout.layer_bytes =
      layout.key_bytes + round_up(elements * info_of(options.value_type).block_bytes, kAlignment);
  layout.page_bytes = layout.layer_bytes * group.n_layers;
  return layout;
}

uint32_t pages_of(const KvCacheOptions& options, uint64_t tokens) {
  return static_cast<uint32_t>(ceil_div(tokens, options.page_tokens));
}

}  // namespace

uint64_t KvCache::bytes(std::span<const LayerGroup> groups, const KvCacheOptions& options) {
  uint64_t sum = 0;
  for (const LayerGroup& group : groups) {
    sum += layout_of(group, options).page_bytes * pages_of(options, options.context) * options.sequences;
  }
  return sum;
}

uint64_t KvCache::bytes_per_token(std::span<const LayerGroup> groups, const KvCacheOptions& options) {
  uint64_t sum = 0;
  for (const LayerGroup& group : groups) sum += layout_of(group, options).page_bytes / options.page_tokens;
  return sum;
}

Result<KvCache> KvCache::create(Backend& backend, MemoryLedger& ledger, std::span<const LayerGroup> groups,
                                const KvCacheOptions& options) {
  HEADRACE_CHECK(options.page_tokens % 16 == 0 && options.context > 0 && options.sequences > 0);
  KvCache cache;
  cache.backend_ = &backend;
  cache.options_ = options;
  const uint32_t n_pages = pages_of(options, options.context) * options.sequences;
  const uint64_t total = bytes(groups, options);
  const uint64_t free = ledger.cap() - std::min(ledger.cap(), ledger.used());
  if (total > free) {
    return make_error(
        Errc::out_of_budget,
        "KV cache for a context of {} tokens: {} bytes needed ({}), {} bytes free ({}); a smaller "
        "context (-c) would help",
        options.context, total, human_bytes(total), free, human_bytes(free));
  }
  for (const LayerGroup& spec : groups) {
    const PageLayout layout = layout_of(spec, options);
    Group group;
    group.spec = spec;
    HEADRACE_TRY(group.pool, PagePool::create(backend, ledger, layout.page_bytes, n_pages,
                                              fmt::format("KV cache ({})", spec.name),
                                              "a smaller context (-c) would help"));
    const size_t plan_bytes =
        options.max_rows * (sizeof(KvSlot) + sizeof(AttentionItem) + sizeof(AttentionItemRow)) +
        n_pages * sizeof(KvRun) + 4 * kAlignment;
    HEADRACE_TRY(group.buffer, backend.allocate(ledger, MemoryUse::scratch, plan_bytes, "attention plan"));
    group.step.layer_bytes = layout.layer_bytes;
    group.step.first_layer = {.pages = group.pool.data(),
                              .page_bytes = layout.page_bytes,
                              .key_offset = 0,
                              .value_offset = layout.key_bytes,
                              .key_type = options.key_type,
                              .value_type = options.value_type,
                              .n_kv_heads = spec.n_kv_heads,
                              .d_head = spec.d_head,
                              .page_tokens = options.page_tokens,
                              .rope = {}};
    cache.groups_.push_back(std::move(group));
  }
  return cache;
}

SequenceId KvCache::open() {
  HEADRACE_CHECK(sequences_.size() < options_.sequences);
  Sequence sequence;
  sequence.pages.resize(groups_.size());
  sequences_.emplace(next_id_, std::move(sequence));
  return next_id_++;
}

void KvCache::close(SequenceId id) {
  const Sequence& sequence = sequences_.at(id);
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (const PageId page : sequence.pages[g]) groups_[g].pool.release(page);
  }
  sequences_.erase(id);
}

uint32_t KvCache::length(SequenceId id) const {
  return sequences_.at(id).length;
}

bool KvCache::reserve(SequenceId id, uint32_t tokens) {
  Sequence& sequence = sequences_.at(id);
  const uint32_t wanted = pages_of(options_, tokens);
  const auto missing = [&](size_t g) {
    const auto held = static_cast<uint32_t>(sequence.pages[g].size());
    return wanted > held ? wanted - held : 0;
  };
  for (size_t g = 0; g < groups_.size(); ++g) {
    if (missing(g) > groups_[g].pool.free_pages()) return false;
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    HEADRACE_CHECK(groups_[g].pool.allocate(missing(g), sequence.pages[g]));
  }
  return true;
}

// One item a sequence and step: its rows, over all the keys that any of them sees.
void KvCache::add_item(Group& group, const Sequence& sequence, size_t group_index, std::span<const Row> rows,
                       uint32_t first_row) {
  const std::vector<PageId>& pages = sequence.pages[group_index];
  const uint32_t page_tokens = options_.page_tokens;
  AttentionItem item = {.first_run = static_cast<uint32_t>(group.runs.size()),
                        .first_row = static_cast<uint32_t>(group.item_rows.size()),
                        .n_rows = static_cast<uint32_t>(rows.size())};
  const auto first_seen = [&](const Row& row) {
    const uint32_t window = group.spec.window;
    return window == 0 || row.position + 1 <= window ? 0 : row.position + 1 - window;
  };
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    HEADRACE_CHECK(row.ancestors == 0 && row.position == sequence.length + i && row.slot == row.position);
    group.slots.push_back({pages[row.slot / page_tokens], row.slot % page_tokens});
    group.item_rows.push_back({first_row + i, first_seen(row), row.position + 1, 0});
  }
  const uint32_t end = rows.back().position + 1;
  for (uint32_t page = first_seen(rows.front()) / page_tokens; page * page_tokens < end; ++page) {
    const uint32_t position = page * page_tokens;
    group.runs.push_back({pages[page], 0, std::min(page_tokens, end - position), position});
  }
  item.n_runs = static_cast<uint32_t>(group.runs.size()) - item.first_run;
  group.items.push_back(item);
}

void KvCache::upload(Group& group, size_t n_rows) {
  size_t used = 0;
  const auto put = [&](const auto& values) {
    using T = std::remove_cvref_t<decltype(values[0])>;
    HEADRACE_CHECK(used + values.size() * sizeof(T) <= group.buffer.size());
    T* at = group.buffer.template as<T>(used);
    backend_->upload(at, values.data(), values.size() * sizeof(T));
    used = round_up(used + values.size() * sizeof(T), kAlignment);
    return at;
  };
  HEADRACE_CHECK(group.slots.size() == n_rows);
  group.step.slots = put(group.slots);
  group.step.plan = {.runs = put(group.runs),
                     .items = put(group.items),
                     .n_items = static_cast<uint32_t>(group.items.size()),
                     .item_rows = put(group.item_rows)};
}

std::span<const GroupStep> KvCache::plan(std::span<const Row> rows) {
  HEADRACE_CHECK(rows.size() <= options_.max_rows);
  steps_.clear();
  for (size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    group.slots.clear();
    group.runs.clear();
    group.items.clear();
    group.item_rows.clear();
    for (size_t first = 0; first < rows.size();) {
      size_t end = first;
      while (end < rows.size() && rows[end].sequence == rows[first].sequence) ++end;
      add_item(group, sequences_.at(rows[first].sequence), g, rows.subspan(first, end - first),
               static_cast<uint32_t>(first));
      first = end;
    }
    upload(group, rows.size());
    steps_.push_back(group.step);
  }
  return steps_;
}

void KvCache::commit(SequenceId id, uint32_t count) {
  Sequence& sequence = sequences_.at(id);
  sequence.length += count;
  for (size_t g = 0; g < groups_.size(); ++g) {
    HEADRACE_CHECK(sequence.length <= sequence.pages[g].size() * options_.page_tokens);
  }
}

}  // namespace headrace
