#include "ops/testing/attention.h"

#include <algorithm>

#include "core/checked.h"

namespace headrace::ops_testing {
namespace {

// The parts of `runs` at positions [begin, end).
std::vector<KvRun> clip(const std::vector<KvRun>& runs, uint32_t begin, uint32_t end) {
  std::vector<KvRun> out;
  for (const KvRun& run : runs) {
    const uint32_t from = std::max(begin, run.position);
    const uint32_t to = std::min(end, run.position + run.count);
    if (from < to) out.push_back({run.page, run.slot + (from - run.position), to - from, from});
  }
  return out;
}

uint32_t first_split(const Visible& row) {
  return row.begin / kSplitPositions;
}
uint32_t end_split(const Visible& row) {
  return static_cast<uint32_t>(ceil_div(row.end, kSplitPositions));
}

// One item over splits [from, to) for rows [first, last), each of which has its partials numbered from
// partials[row] on.
void add_split_item(Plan& plan, const Layout& layout, std::span<const Visible> rows, size_t first,
                    size_t last, uint32_t from, uint32_t to, const std::vector<uint32_t>& partials) {
  AttentionItem item = {.first_run = static_cast<uint32_t>(plan.runs.size()),
                        .n_runs = 0,
                        .first_row = static_cast<uint32_t>(plan.item_rows.size()),
                        .n_rows = 0,
                        .whole = false};
  for (size_t r = first; r < last; ++r) {
    const uint32_t begin = std::max(from, first_split(rows[r]));
    if (begin >= std::min(to, end_split(rows[r]))) continue;
    plan.item_rows.push_back(
        {static_cast<uint32_t>(r), rows[r].begin, rows[r].end, partials[r] + begin - first_split(rows[r])});
    ++item.n_rows;
  }
  if (item.n_rows == 0) return;
  const std::vector<KvRun> runs = clip(layout.runs, from * kSplitPositions, to * kSplitPositions);
  item.n_runs = static_cast<uint32_t>(runs.size());
  plan.runs.insert(plan.runs.end(), runs.begin(), runs.end());
  plan.items.push_back(item);
}

// Number of each row's first partial result.
std::vector<uint32_t> add_reduces(Plan& plan, std::span<const Visible> rows) {
  std::vector<uint32_t> partials;
  for (uint32_t r = 0; r < rows.size(); ++r) {
    const uint32_t splits = end_split(rows[r]) - first_split(rows[r]);
    partials.push_back(plan.n_partials);
    plan.reduces.push_back({r, plan.n_partials, splits, first_split(rows[r])});
    plan.n_partials += splits;
  }
  return partials;
}

}  // namespace

float AttentionShape::scale() const {
  return d_head == 64 ? 0.125F : 0.0625F;
}

Layout chain_layout(uint32_t first, uint32_t n, uint32_t page_tokens) {
  Layout layout = {
      .page_tokens = page_tokens, .pages = static_cast<uint32_t>(ceil_div(n, page_tokens)), .runs = {}};
  for (uint32_t at = 0; at < n; at += page_tokens) {
    layout.runs.push_back({at / page_tokens, 0, std::min(page_tokens, n - at), first + at});
  }
  return layout;
}

Layout scattered_layout(Random& random, uint32_t first, uint32_t n, uint32_t page_tokens, uint32_t max_run) {
  Layout layout = {.page_tokens = page_tokens, .pages = 0, .runs = {}};
  std::vector<KvRun> runs;
  for (uint32_t at = 0; at < n;) {
    const uint32_t count = std::min(random.between(1, max_run), n - at);
    runs.push_back({0, 0, count, first + at});
    at += count;
  }
  random.shuffle(runs);
  uint32_t next = random.below(page_tokens);  // slots are handed out in order, now and then one is left free
  for (KvRun run : runs) {
    while (run.count > 0) {
      const uint32_t count = std::min(run.count, page_tokens - next % page_tokens);
      layout.runs.push_back({next / page_tokens, next % page_tokens, count, run.position});
      run.position += count;
      run.count -= count;
      next += count + random.below(8) / 7;
    }
  }
  layout.pages = next / page_tokens + 1;
  std::sort(layout.runs.begin(), layout.runs.end(),
            [](const KvRun& a, const KvRun& b) { return a.position < b.position; });
  return layout;
}

KvView make_cache(Device& device, const AttentionShape& shape, const Layout& layout,
                  std::span<const float> keys, std::span<const float> values) {
  const size_t elements = size_t{shape.kv_width()} * layout.page_tokens;
  const size_t key_bytes = elements * info_of(shape.key_type).block_bytes;
  const size_t layer_bytes = key_bytes + elements * info_of(shape.value_type).block_bytes;
  // The second of three layers in a page.
  KvView kv = {.pages = device.make<std::byte>(3 * layer_bytes * layout.pages),
               .page_bytes = 3 * layer_bytes,
               .key_offset = layer_bytes,
               .value_offset = layer_bytes + key_bytes,
               .key_type = shape.key_type,
               .value_type = shape.value_type,
               .n_kv_heads = shape.n_kv_heads,
               .d_head = shape.d_head,
               .page_tokens = layout.page_tokens,
               .rope = {}};
  const size_t width = shape.kv_width();
  const size_t n = keys.size() / width;
  std::vector<KvSlot> slots;
  for (const KvRun& run : layout.runs) {
    for (uint32_t i = 0; i < run.count; ++i) slots.push_back({run.page, run.slot + i});
  }
  HEADRACE_CHECK(slots.size() == n);
  std::vector<float> angles(n * shape.d_head, 0.0F);  // cosines, then sines
  for (size_t r = 0; r < n; ++r) std::fill_n(angles.begin() + r * shape.d_head, shape.d_head / 2, 1.0F);
  device.ops().store_kv(device.mat(angles, shape.d_head), nullptr, device.mat(keys, width),
                        device.mat(values, width), device.upload(slots), kv);
  return kv;
}

AttentionPlan Plan::upload(Device& device, float* partials) const {
  return {.runs = device.upload(runs),
          .items = device.upload(items),
          .n_items = static_cast<uint32_t>(items.size()),
          .wave_ends = wave_ends,
          .item_rows = device.upload(item_rows),
          .reduces = device.upload(reduces),
          .n_reduces = static_cast<uint32_t>(reduces.size()),
          .partials = partials,
          .n_partials = n_partials};
}

Plan whole_plan(const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item) {
  Plan plan;
  plan.runs = layout.runs;
  for (uint32_t r = 0; r < rows.size(); ++r) {
    if (r % rows_per_item == 0)
      plan.items.push_back({0, static_cast<uint32_t>(plan.runs.size()), r, 0, true});
    ++plan.items.back().n_rows;
    plan.item_rows.push_back({r, rows[r].begin, rows[r].end, 0});
  }
  return plan;
}

Plan split_plan(Random& random, const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item,
                uint32_t max_splits) {
  Plan plan;
  const std::vector<uint32_t> partials = add_reduces(plan, rows);
  for (size_t first = 0; first < rows.size(); first += rows_per_item) {
    const size_t last = std::min<size_t>(first + rows_per_item, rows.size());
    uint32_t end = 0;
    for (size_t r = first; r < last; ++r) end = std::max(end, end_split(rows[r]));
    for (uint32_t from = 0; from < end;) {
      const uint32_t to = from + random.between(1, max_splits);
      add_split_item(plan, layout, rows, first, last, from, to, partials);
      from = to;
    }
  }
  return plan;
}

Plan waved_plan(Random& random, const Layout& layout, std::span<const Visible> rows, uint32_t rows_per_item) {
  Plan plan;
  const std::vector<uint32_t> partials = add_reduces(plan, rows);
  const uint32_t end = std::ranges::max(rows, {}, &Visible::end).end;
  std::array<uint32_t, kAttentionWaves> ends;
  for (uint32_t& cut : ends) cut = random.below(end / kBlockPositions + 1) * kBlockPositions;
  ends.back() = end;
  std::ranges::sort(ends);
  for (size_t wave = 0; wave < ends.size(); ++wave) {
    const uint32_t from = wave == 0 ? 0 : ends[wave - 1];
    const uint32_t to = ends[wave];
    const std::vector<KvRun> runs = clip(layout.runs, from, to);
    for (uint32_t first = 0; first < rows.size(); first += rows_per_item) {
      AttentionItem item = {.first_run = static_cast<uint32_t>(plan.runs.size()),
                            .n_runs = static_cast<uint32_t>(runs.size()),
                            .first_row = static_cast<uint32_t>(plan.item_rows.size()),
                            .n_rows = 0,
                            .whole = false};
      for (uint32_t r = first; r < std::min<size_t>(first + rows_per_item, rows.size()); ++r) {
        const uint32_t begin = std::max(rows[r].begin, from);
        if (begin >= std::min(rows[r].end, to)) continue;
        plan.item_rows.push_back({r, begin, std::min(rows[r].end, to),
                                  partials[r] + begin / kSplitPositions - first_split(rows[r]),
                                  rows[r].begin < from && from % kSplitPositions != 0});
        ++item.n_rows;
      }
      if (item.n_rows == 0) continue;
      plan.items.push_back(item);
      plan.runs.insert(plan.runs.end(), runs.begin(), runs.end());
    }
    if (wave + 1 < ends.size()) plan.wave_ends[wave] = static_cast<uint32_t>(plan.items.size());
  }
  return plan;
}

std::vector<float> attend(Device& device, const AttentionShape& shape, const KvView& cache, const Plan& plan,
                          std::span<const float> queries) {
  const size_t heads = size_t{shape.n_kv_heads} * shape.group;
  const size_t rows = queries.size() / shape.q_width();
  const Mat q = device.mat(queries, shape.q_width(), 3);
  // Filled with a number: where a result is to be NaN, memory that nobody wrote must not look like it.
  const Mat out = device.mat(std::vector<float>(rows * shape.q_width(), 77.0F), shape.q_width(), 5);
  const Mat partials = device.mat(std::vector<float>(plan.n_partials * heads * (shape.d_head + 2), 77.0F),
                                  shape.d_head + 2, 1);
  device.ops().attend(q, cache, plan.upload(device, partials.data), shape.scale(), out);
  return device.read(out);
}

}  // namespace headrace::ops_testing
