// Which keys of a step are read once for several rows.
#include <algorithm>
#include <limits>

#include "cache/plan_builder.h"
#include "core/checked.h"

namespace headrace {
namespace {

constexpr uint32_t kAll = std::numeric_limits<uint32_t>::max();

// A row that shares keys writes a partial result, which is read and continued or merged later. That is worth
// it if the rows of an item save so many keys each, about, that they would have read for themselves (the cost
// gate of Hydragen, section 4, in positions; how many is a guess).
constexpr uint64_t kLeastSavedKeys = 32;

// An item of more rows fills the kernels' tiles of queries by itself.
constexpr uint32_t kMostSharingRows = 8;

uint32_t split_of(uint32_t position) {
  return position / kSplitPositions;
}

}  // namespace

void PlanBuilder::share(std::span<const OrderedText> texts) {
  if (!shares()) return;
  uint32_t common = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) common = std::min(common, texts[i].common);
    const auto [begin, end] = std::ranges::equal_range(notes_, texts[i].text, {}, &Notes::text);
    for (auto note = begin; note != end; ++note) {
      const auto item = static_cast<uint32_t>(note - notes_.begin());
      if (items_[item].n_rows > kMostSharingRows) continue;
      members_.push_back({item, common});
      common = kAll;  // with what else there is of this text
    }
  }
  share_range(0, members_.size(), 0, 0);
  leave_the_rest();
}

// What members [first, end) have in common becomes an item, then what some of them have in common beyond
// that. All of them have items for the positions before `from`.
void PlanBuilder::share_range(size_t first, size_t end, uint32_t from, uint32_t wave) {
  if (end - first < 2 || wave + 1 == kAttentionWaves) return;
  uint32_t to = kAll;
  for (size_t i = first; i < end; ++i) {
    if (i > first) to = std::min(to, members_[i].common);
    to = std::min(to, notes_[members_[i].item].settled);
  }
  to = to / kBlockPositions * kBlockPositions;
  const std::span<const Member> all = std::span(members_).subspan(first, end - first);
  if (to > from && share_keys(all, from, to, wave)) {
    from = to;
    ++wave;
  }
  for (size_t begin = first; begin < end;) {
    size_t next = begin + 1;
    while (next < end && members_[next].common / kBlockPositions * kBlockPositions > to) ++next;
    if (next - begin == end - first) return;  // one of them ends here, all the others could go on
    share_range(begin, next, from, wave);
    begin = next;
  }
}

// An item over the keys [from, to) for all rows of the members that see some of them; false where it isn't
// worth it.
bool PlanBuilder::share_keys(std::span<const Member> members, uint32_t from, uint32_t to, uint32_t wave) {
  uint64_t sum = 0;
  uint64_t most = 0;
  uint64_t rows = 0;
  for (const Member& member : members) {
    const AttentionItem& item = items_[member.item];
    if (notes_[member.item].left_out) continue;
    for (uint32_t i = item.first_row; i < item.first_row + item.n_rows; ++i) {
      if (item_rows_[i].begin >= to) continue;
      const uint64_t seen = to - std::max(item_rows_[i].begin, from);
      sum += seen;
      most = std::max(most, seen);
      ++rows;
    }
  }
  if (rows < 2 || sum - most < kLeastSavedKeys * rows) return false;

  AttentionItem shared = {.first_row = static_cast<uint32_t>(item_rows_.size()), .whole = false};
  uint32_t begin = kAll;  // of the member that sees most, whose runs are taken
  size_t joined = 0;
  for (const Member& member : members) {
    const AttentionItem& item = items_[member.item];
    const auto rows_of = std::span(item_rows_).subspan(item.first_row, item.n_rows);
    const bool sees =
        std::ranges::any_of(rows_of, [&](const AttentionItemRow& row) { return row.begin < to; });
    if (!sees || !take_in_parts(member.item)) continue;
    uint32_t first_seen = kAll;
    for (uint32_t i = item.first_row; i < item.first_row + item.n_rows; ++i) {
      const AttentionItemRow row = item_rows_[i];
      if (row.begin >= to) continue;
      const uint32_t at = std::max(row.begin, from);
      item_rows_.push_back({.row = row.row,
                            .begin = at,
                            .end = to,
                            .first_partial = row.first_partial + split_of(at) - split_of(row.begin),
                            .resumes = from % kSplitPositions != 0 && row.begin < from});
      first_seen = std::min(first_seen, at);
    }
    ++joined;
    if (first_seen >= begin) continue;
    begin = first_seen;
    shared.first_run = run_of(item, begin);
    shared.n_runs = run_of(item, to - 1) + 1 - shared.first_run;
  }
  if (joined < 2) {
    item_rows_.resize(shared.first_row);
    return false;
  }
  for (const Member& member : members) {
    if (notes_[member.item].in_parts) notes_[member.item].from = to;
  }
  shared.n_rows = static_cast<uint32_t>(item_rows_.size()) - shared.first_row;
  shared_[wave].push_back(shared);
  saved_keys_ += sum - most;
  return true;
}

uint32_t PlanBuilder::run_of(const AttentionItem& item, uint32_t position) const {
  return item.first_run + position / needs_.page_tokens - runs_[item.first_run].position / needs_.page_tokens;
}

// The results of its rows are put together from partial ones; false if there is no room for these.
bool PlanBuilder::take_in_parts(uint32_t index) {
  AttentionItem& item = items_[index];
  Notes& notes = notes_[index];
  if (notes.in_parts || notes.left_out) return notes.in_parts;
  const auto parts = [](const AttentionItemRow& row) {
    return split_of(row.end - 1) - split_of(row.begin) + 1;
  };
  const std::span<AttentionItemRow> rows = std::span(item_rows_).subspan(item.first_row, item.n_rows);
  uint64_t needed = 0;
  for (const AttentionItemRow& row : rows) needed += parts(row);
  if (n_partials_ + needed > needs_.n_partials) {
    notes.left_out = true;
    return false;
  }
  for (AttentionItemRow& row : rows) {
    row.first_partial = static_cast<uint32_t>(n_partials_);
    reduces_.push_back({row.row, row.first_partial, parts(row), split_of(row.begin)});
    n_partials_ += parts(row);
  }
  item.whole = false;
  notes.in_parts = true;
  return true;
}

// Items that were added keep the positions that no shared one has.
void PlanBuilder::leave_the_rest() {
  for (const Member& member : members_) {
    AttentionItem& item = items_[member.item];
    const uint32_t from = notes_[member.item].from;
    if (from == 0) continue;
    const uint32_t first_page = runs_[item.first_run].position / needs_.page_tokens;
    const uint32_t skipped = std::max(from / needs_.page_tokens, first_page) - first_page;
    item.first_run += skipped;
    item.n_runs -= skipped;
    for (uint32_t i = item.first_row; i < item.first_row + item.n_rows; ++i) {
      AttentionItemRow& row = item_rows_[i];
      if (row.begin >= from) continue;
      row.first_partial += split_of(from) - split_of(row.begin);
      row.resumes = from % kSplitPositions != 0;
      row.begin = from;
    }
  }
}

}  // namespace headrace
