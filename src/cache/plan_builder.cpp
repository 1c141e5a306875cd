#include "cache/plan_builder.h"

#include <algorithm>
#include <bit>

#include "core/checked.h"

namespace headrace {
namespace {

constexpr size_t kAlignment = 64;

// Position, where a row sees the last `window`; 0: all.
uint32_t first_seen(const Row& row, uint32_t window) {
  return window == 0 || row.position + 1 <= window ? 0 : row.position + 1 - window;
}

}  // namespace

Result<PlanBuilder> PlanBuilder::create(Backend& backend, MemoryLedger& ledger, const PlanNeeds& needs) {
  PlanBuilder builder;
  builder.needs_ = needs;
  // Items that are shared are fewer than rows: each has other members than all the rest.
  const size_t rows = needs.max_rows;
  const size_t waves = needs.n_partials > 0 ? kAttentionWaves : 1;
  const size_t bytes = rows * (sizeof(KvSlot) + 2 * sizeof(AttentionItem) + waves * sizeof(AttentionItemRow) +
                               sizeof(AttentionReduce)) +
                       needs.max_runs * sizeof(KvRun) + 5 * kAlignment;
  HEADRACE_TRY(builder.buffer_, backend.allocate(ledger, MemoryUse::scratch, bytes, "attention plan"));
  builder.slots_.reserve(rows);
  builder.runs_.reserve(needs.max_runs);
  builder.items_.reserve(rows);
  builder.notes_.reserve(rows);
  builder.item_rows_.reserve(waves * rows);
  if (needs.n_partials == 0) return builder;
  HEADRACE_TRY(builder.partials_,
               backend.allocate(ledger, MemoryUse::kv,
                                needs.n_partials * needs.n_heads * (needs.d_head + 2) * sizeof(float),
                                "partial results of attention"));
  builder.reduces_.reserve(rows);
  builder.members_.reserve(rows);
  builder.in_order_.reserve(2 * rows);
  for (auto& wave : builder.shared_) wave.reserve(rows);
  return builder;
}

void PlanBuilder::clear() {
  slots_.clear();
  runs_.clear();
  items_.clear();
  notes_.clear();
  item_rows_.clear();
  reduces_.clear();
  members_.clear();
  for (auto& wave : shared_) wave.clear();
  n_texts_ = 0;
  n_partials_ = 0;
}

// One item a sequence and step: its rows, over all the keys that any of them sees.
void PlanBuilder::add(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row,
                      uint32_t window) {
  AttentionItem item = {.first_run = static_cast<uint32_t>(runs_.size()),
                        .first_row = static_cast<uint32_t>(item_rows_.size()),
                        .n_rows = static_cast<uint32_t>(rows.size())};
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    slots_.push_back({pages[row.slot / needs_.page_tokens], row.slot % needs_.page_tokens});
    item_rows_.push_back({first_row + i, first_seen(row, window), row.position + 1, 0});
  }
  add_page_runs(pages, first_seen(rows.front(), window), rows.back().position + 1);
  item.n_runs = static_cast<uint32_t>(runs_.size()) - item.first_run;
  items_.push_back(item);
  notes_.push_back({.text = n_texts_ - 1, .settled = rows.front().position});
}

void PlanBuilder::add_page_runs(std::span<const PageId> pages, uint32_t begin, uint32_t end) {
  for (uint32_t page = begin / needs_.page_tokens; page * needs_.page_tokens < end; ++page) {
    const uint32_t position = page * needs_.page_tokens;
    HEADRACE_CHECK(pages[page] != kNoPage);
    runs_.push_back({pages[page], 0, std::min(needs_.page_tokens, end - position), position});
  }
}

// Neighbours on the path that are neighbours in a page make one run.
void PlanBuilder::add_path_runs(std::span<const PageId> pages, uint64_t path, uint32_t base) {
  uint32_t position = base;
  for (uint64_t rest = path; rest != 0; rest &= rest - 1, ++position) {
    const uint32_t slot = base + static_cast<uint32_t>(std::countr_zero(rest));
    const PageId page = pages[slot / needs_.page_tokens];
    HEADRACE_CHECK(page != kNoPage);
    KvRun* last = position > base ? &runs_.back() : nullptr;
    if (last != nullptr && last->page == page && last->slot + last->count == slot % needs_.page_tokens) {
      ++last->count;
    } else {
      runs_.push_back({page, slot % needs_.page_tokens, 1, position});
    }
  }
}

void PlanBuilder::add_tree(std::span<const PageId> pages, std::span<const Row> rows, uint32_t first_row,
                           uint32_t window, uint32_t base) {
  for (const Row& row : rows)
    slots_.push_back({pages[row.slot / needs_.page_tokens], row.slot % needs_.page_tokens});
  uint64_t placed = 0;  // rows that have an item
  for (uint32_t leaf = 0; leaf < rows.size(); ++leaf) {
    const uint64_t path = rows[leaf].ancestors;
    const bool inner = std::ranges::any_of(
        rows, [&](const Row& row) { return row.ancestors != path && (path & ~row.ancestors) == 0; });
    if (inner) continue;
    AttentionItem item = {.first_run = static_cast<uint32_t>(runs_.size()),
                          .first_row = static_cast<uint32_t>(item_rows_.size())};
    uint32_t begin = base;
    for (uint32_t i = 0; i < rows.size(); ++i) {
      if ((placed >> i & 1) != 0 || (rows[i].ancestors & ~path) != 0) continue;
      placed |= uint64_t{1} << i;
      const uint32_t seen = first_seen(rows[i], window);
      begin = std::min(begin, seen);
      item_rows_.push_back({first_row + i, seen, rows[i].position + 1, 0});
    }
    add_page_runs(pages, begin, base);
    add_path_runs(pages, path, base);
    item.n_runs = static_cast<uint32_t>(runs_.size()) - item.first_run;
    item.n_rows = static_cast<uint32_t>(item_rows_.size()) - item.first_row;
    items_.push_back(item);
    notes_.push_back({.text = n_texts_ - 1, .settled = base});
  }
}

void PlanBuilder::finish(Backend& backend, GroupStep& step) {
  size_t used = 0;
  const auto put = [&](const auto& values) {
    using T = std::remove_cvref_t<decltype(values[0])>;
    HEADRACE_CHECK(used + values.size() * sizeof(T) <= buffer_.size());
    T* at = buffer_.template as<T>(used);
    backend.upload(at, values.data(), values.size() * sizeof(T));
    used = round_up(used + values.size() * sizeof(T), kAlignment);
    return at;
  };
  step.slots = put(slots_);
  step.plan = {.runs = put(runs_), .item_rows = put(item_rows_)};
  if (reduces_.empty()) {
    step.plan.items = put(items_);
    step.plan.n_items = static_cast<uint32_t>(items_.size());
    return;
  }
  in_order_.clear();
  for (size_t wave = 0; wave < shared_.size(); ++wave) {
    in_order_.insert(in_order_.end(), shared_[wave].begin(), shared_[wave].end());
    step.plan.wave_ends[wave] = static_cast<uint32_t>(in_order_.size());
  }
  in_order_.insert(in_order_.end(), items_.begin(), items_.end());
  step.plan.items = put(in_order_);
  step.plan.n_items = static_cast<uint32_t>(in_order_.size());
  step.plan.reduces = put(reduces_);
  step.plan.n_reduces = static_cast<uint32_t>(reduces_.size());
  step.plan.partials = partials_.as<float>();
  step.plan.n_partials = static_cast<uint32_t>(n_partials_);
}

}  // namespace headrace
