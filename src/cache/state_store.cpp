#include "cache/state_store.h"

#include <algorithm>
#include <bit>

#include "core/checked.h"

namespace headrace {
namespace {

constexpr size_t kMostTreeRows = 64;  // bits of Row::ancestors
// Of partial results in a layer group; sequences beyond that read all keys for themselves.
constexpr uint64_t kMostPartialBytes = 8 << 20;
constexpr uint64_t kSharingRows = 4;  // of each sequence that there is room for; who shares may have more

uint32_t pages_of(uint64_t tokens, const StateStoreOptions& options) {
  return static_cast<uint32_t>(ceil_div(tokens, options.format.page_tokens));
}

// Pages that a sequence holds at most: all of its context, or its window and a step's rows.
uint32_t largest_of(const LayerGroup& group, const StateStoreOptions& options) {
  const uint32_t all = pages_of(options.context, options);
  const uint32_t seen = positions_seen(group);
  if (seen == 0) return all;
  return std::min(all, pages_of(seen - 1, options) + pages_of(options.max_rows, options) + 2);
}

// One page more than the tokens need: the source of a copy must stay while the copy is made.
uint32_t pages_for_all(const LayerGroup& group, const StateStoreOptions& options, uint64_t tokens) {
  const uint64_t every = uint64_t{pages_of(options.context, options)} * options.sequences;
  const uint64_t wanted =
      tokens == 0 ? every : std::min<uint64_t>(every, ceil_div(tokens, options.format.page_tokens));
  const uint32_t largest = largest_of(group, options);
  const uint32_t seen = positions_seen(group);
  // Beside what running sequences see, as much again stays for prefixes to be found.
  const uint64_t useful = seen == 0 ? wanted
                                    : uint64_t{2} * options.sequences * (pages_of(seen - 1, options) + 2) +
                                          pages_of(options.max_rows, options);
  return static_cast<uint32_t>(std::max<uint64_t>(std::min(wanted, useful), largest)) + 1;
}

uint64_t partial_bytes(const LayerGroup& group) {
  return uint64_t{group.n_heads} * (group.d_head + 2) * sizeof(float);
}

// Room for the partial results of a step whose rows share keys.
uint64_t most_partials(const LayerGroup& group, const StateStoreOptions& options) {
  const bool alone = options.sequences == 1 && options.branches <= 1;
  if (!options.share_keys || alone || group.n_heads == 0 || group.recurrent()) return 0;
  const uint32_t seen =
      positions_seen(group) == 0 ? options.context : std::min(options.context, positions_seen(group));
  const uint64_t splits = ceil_div(seen, kSplitPositions) + 1;
  const uint64_t rows = std::min<uint64_t>(
      options.max_rows,
      options.sequences * std::max<uint64_t>(kSharingRows, options.branches > 1 ? kMostTreeRows : 0));
  return std::min(rows * splits, kMostPartialBytes / partial_bytes(group));
}

}  // namespace

uint64_t StateStore::bytes(std::span<const LayerGroup> groups, const StateStoreOptions& options) {
  uint64_t sum = 0;
  for (const LayerGroup& group : groups) {
    sum += page_layout(group, options.format).page_bytes * pages_for_all(group, options, options.tokens);
    sum += most_partials(group, options) * partial_bytes(group);
  }
  return sum;
}

Result<StateStore> StateStore::create(Backend& backend, MemoryLedger& ledger,
                                      std::span<const LayerGroup> groups, const StateStoreOptions& options) {
  HEADRACE_CHECK(options.format.page_tokens % 16 == 0 && options.context > 0 && options.sequences > 0);
  if (groups.size() > kMaxLayerGroups) {
    return make_error(Errc::unsupported, "{} layer groups: at most {} are supported", groups.size(),
                      kMaxLayerGroups);
  }
  const uint64_t total = bytes(groups, options);
  const uint64_t free = ledger.cap() - std::min(ledger.cap(), ledger.used());
  if (total > free) {
    return make_error(
        Errc::out_of_budget,
        "KV cache for a context of {} tokens: {} bytes needed ({}), {} bytes free ({}); a smaller "
        "context (-c) would help",
        options.context, total, human_bytes(total), free, human_bytes(free));
  }
  std::vector<PagePool> pools;
  std::vector<uint32_t> windows;
  std::vector<GroupStep> steps;
  std::vector<PlanBuilder> builders;
  const bool trees = options.branches > 1;
  // Each branch sees the pages before it, and has a run for each of its tokens at most.
  const uint64_t max_runs =
      uint64_t{options.sequences} * (pages_of(options.context, options) * (trees ? options.branches + 1 : 1) +
                                     (trees ? kMostTreeRows * options.branches : 0));
  for (const LayerGroup& spec : groups) {
    const PageLayout layout = page_layout(spec, options.format);
    HEADRACE_TRY(
        PagePool pool,
        PagePool::create(backend, ledger, layout.page_bytes, pages_for_all(spec, options, options.tokens),
                         fmt::format("KV cache ({})", spec.name), "a smaller context (-c) would help"));
    HEADRACE_TRY(PlanBuilder builder, PlanBuilder::create(backend, ledger,
                                                          {.page_tokens = options.format.page_tokens,
                                                           .max_rows = options.max_rows,
                                                           .max_runs = max_runs,
                                                           .n_heads = spec.n_heads,
                                                           .d_head = spec.d_head,
                                                           .n_partials = most_partials(spec, options)}));
    GroupStep step;
    step.layer_bytes = layout.layer_bytes;
    step.first_layer = first_layer_view(spec, options.format, pool.data());
    steps.push_back(step);
    builders.push_back(std::move(builder));
    pools.push_back(std::move(pool));
    windows.push_back(positions_seen(spec));
  }
  StateStore store(Forest(std::move(pools), std::move(windows), options.format.page_tokens));
  store.backend_ = &backend;
  store.options_ = options;
  store.specs_.assign(groups.begin(), groups.end());
  for (size_t g = 0; g < groups.size(); ++g) {
    store.largest_[g] = largest_of(groups[g], options);
    store.page_bytes_.push_back(page_layout(groups[g], options.format).page_bytes);
  }
  store.steps_ = std::move(steps);
  store.builders_ = std::move(builders);
  if (trees) {
    HEADRACE_TRY(store.moves_,
                 backend.allocate(ledger, MemoryUse::scratch, 2 * kMostTreeRows * sizeof(KvSlot),
                                  "moves within the KV cache"));
    store.move_to_.reserve(kMostTreeRows);
    store.move_from_.reserve(kMostTreeRows);
  }
  store.make_room_on_host();
  return store;
}

// All that steps will need, so that they take nothing from the heap.
void StateStore::make_room_on_host() {
  const uint32_t most_pages = pages_of(options_.context, options_);
  const auto make = [&](Sequence& s) {
    s.path.reserve(most_pages);
    s.pages.resize(specs_.size());
    for (auto& pages : s.pages) pages.reserve(most_pages);
    s.first_pinned.resize(specs_.size());
  };
  sequences_.resize(options_.sequences);
  for (Sequence& s : sequences_) make(s);
  make(shorter_);
  for (uint32_t id = options_.sequences; id > 0; --id) free_sequences_.push_back(id - 1);
  match_.path.reserve(most_pages);
  step_sequences_.reserve(options_.sequences);
  texts_.reserve(options_.sequences);
  for (size_t g = 0; g < specs_.size(); ++g) owners_.emplace_back(forest_.pool(g).size());
}

// --- sequences --------------------------------------------------------------------------------------------

void StateStore::begin(Sequence& s, uint64_t salt) const {
  s.is_open = true;
  s.salt = salt;
  s.length = 0;
  s.path.clear();
  for (auto& pages : s.pages) pages.clear();
  s.first_pinned.assign(specs_.size(), 0);
}

SequenceId StateStore::new_sequence(uint64_t salt) {
  HEADRACE_CHECK(!free_sequences_.empty());
  const SequenceId id = free_sequences_.back();
  free_sequences_.pop_back();
  begin(sequences_[id], salt);
  return id;
}

// Makes full nodes the beginning of a sequence that will be `length` tokens long at least.
void StateStore::adopt(Sequence& s, std::span<const NodeId> path, uint32_t length) {
  const uint32_t page_tokens = options_.format.page_tokens;
  s.path.assign(path.begin(), path.end());
  s.length = static_cast<uint32_t>(path.size()) * page_tokens;
  for (size_t g = 0; g < specs_.size(); ++g) {
    const auto first =
        std::min(forest_.first_seen(g, length) / page_tokens, static_cast<uint32_t>(path.size()));
    s.first_pinned[g] = first;
    s.pages[g].assign(path.size(), kNoPage);
    for (uint32_t number = first; number < path.size(); ++number) {
      forest_.pin(path[number], g);
      s.pages[g][number] = forest_.node(path[number]).pages[g].page;
    }
  }
}

void StateStore::push_node(Sequence& s, NodeId node) {
  s.path.push_back(node);
  for (size_t g = 0; g < specs_.size(); ++g) s.pages[g].push_back(forest_.node(node).pages[g].page);
}

// Lets go of the last node of the path.
void StateStore::pop_node(Sequence& s) {
  const NodeId node = s.path.back();
  const auto number = static_cast<uint32_t>(s.path.size()) - 1;
  for (size_t g = 0; g < specs_.size(); ++g) {
    if (number >= s.first_pinned[g]) forest_.unpin(node, g);
    s.pages[g].pop_back();
    s.first_pinned[g] = std::min(s.first_pinned[g], number);
  }
  s.path.pop_back();
  forest_.close(node);
}

// Appends a node of its own with the first `tokens` tokens of `source`: copy on write.
bool StateStore::copy_tail(Sequence& s, NodeId source, uint32_t tokens) {
  for (size_t g = 0; g < specs_.size(); ++g) forest_.pin(source, g);
  const NodeId copy = forest_.append(s.path.empty() ? kNoNode : s.path.back(), s.salt);
  if (copy != kNoNode) {
    for (size_t g = 0; g < specs_.size(); ++g) {
      std::byte* pages = forest_.pool(g).data();
      backend_->copy(pages + forest_.node(copy).pages[g].page * page_bytes_[g],
                     pages + forest_.node(source).pages[g].page * page_bytes_[g], page_bytes_[g]);
    }
    push_node(s, copy);
    forest_.extend(copy, std::span(forest_.node(source).tokens).first(tokens), s.first_pinned);
    s.length += tokens;
    ++page_copies_;
  }
  for (size_t g = 0; g < specs_.size(); ++g) forest_.unpin(source, g);
  return copy != kNoNode;
}

Prospect StateStore::prospect(uint64_t salt, std::span<const int32_t> tokens) {
  forest_.match(salt, tokens, match_);
  const PrefixMatch& match = match_;
  Prospect prospect;
  prospect.cached = match.tokens(options_.format.page_tokens);
  prospect.limit = match.limit;
  const auto count = [&](NodeId node, size_t g) {
    const bool alone = forest_.pool(g).references(forest_.node(node).pages[g].page) == 1;
    ++(alone ? prospect.taken : prospect.shared)[g];
  };
  for (size_t g = 0; g < specs_.size(); ++g) {
    const uint32_t first = forest_.first_seen(g, prospect.cached) / options_.format.page_tokens;
    for (uint32_t number = first; number < match.path.size(); ++number) {
      count(match.path[number], g);
    }
    if (match.partial == kNoNode) continue;
    // The copy, and its source, which stays until the copy is made.
    ++prospect.taken[g];
    count(match.partial, g);
  }
  return prospect;
}

SequenceId StateStore::open(uint64_t salt, std::span<const int32_t> tokens, Reuse* reuse) {
  const SequenceId id = new_sequence(salt);
  Sequence& s = sequences_[id];
  PrefixMatch& match = match_;
  forest_.match(salt, tokens, match);
  adopt(s, match.path, match.tokens(options_.format.page_tokens));
  if (match.partial != kNoNode && !copy_tail(s, match.partial, match.partial_tokens)) {
    // A window may need more of the shorter prefix than of the longer one.
    release(s);
    forest_.match(salt, tokens.first(match.path.size() * options_.format.page_tokens), match);
    adopt(s, match.path, match.tokens(options_.format.page_tokens));
    match.limit = ReuseLimit::no_page;
  }
  if (reuse != nullptr) *reuse = {s.length, match.limit};
  return id;
}

std::optional<SequenceId> StateStore::fork(SequenceId from) {
  const SequenceId id = new_sequence(sequences_[from].salt);
  Sequence& s = sequences_[id];
  const Sequence& source = sequences_[from];
  const uint32_t full = source.length / options_.format.page_tokens;
  const uint32_t rest = source.length % options_.format.page_tokens;
  adopt(s, std::span(source.path).first(full), source.length);
  if (rest == 0 || copy_tail(s, source.path[full], rest)) return id;
  close(id);
  return std::nullopt;
}

void StateStore::release(Sequence& s) {
  forest_.touch(s.path);
  for (size_t g = 0; g < specs_.size(); ++g) {
    for (uint32_t number = s.first_pinned[g]; number < s.path.size(); ++number) {
      forest_.unpin(s.path[number], g);
    }
    s.pages[g].clear();
    s.first_pinned[g] = 0;
  }
  for (size_t i = s.path.size(); i > 0; --i) forest_.close(s.path[i - 1]);
  s.path.clear();
  s.length = 0;
}

void StateStore::close(SequenceId id) {
  Sequence& s = sequences_[id];
  HEADRACE_CHECK(s.is_open);
  release(s);
  s.is_open = false;
  free_sequences_.push_back(id);
}

bool StateStore::reserve(SequenceId id, uint32_t tokens) {
  Sequence& s = sequences_[id];
  const size_t before = s.path.size();
  while (s.path.size() < pages_of(tokens, options_)) {
    const NodeId node = forest_.append(s.path.empty() ? kNoNode : s.path.back(), s.salt);
    if (node == kNoNode) {
      while (s.path.size() > before) pop_node(s);
      return false;
    }
    push_node(s, node);
  }
  return true;
}

void StateStore::trim(SequenceId id) {
  Sequence& s = sequences_[id];
  while (s.path.size() > pages_of(s.length, options_)) pop_node(s);
}

void StateStore::straighten(SequenceId id, std::span<const uint32_t> slots) {
  const Sequence& s = sequences_[id];
  const uint32_t page_tokens = options_.format.page_tokens;
  HEADRACE_CHECK(slots.size() < kMostTreeRows && moves_.size() > 0);
  KvSlot* from = moves_.as<KvSlot>();
  KvSlot* to = from + kMostTreeRows;
  for (size_t g = 0; g < specs_.size(); ++g) {
    move_from_.clear();
    move_to_.clear();
    for (size_t i = 0; i < slots.size(); ++i) {
      const auto target = static_cast<uint32_t>(s.length + 1 + i);
      HEADRACE_CHECK(slots[i] >= target);
      if (slots[i] == target) continue;
      move_from_.push_back({s.pages[g][slots[i] / page_tokens], slots[i] % page_tokens});
      move_to_.push_back({s.pages[g][target / page_tokens], target % page_tokens});
    }
    if (move_from_.empty()) continue;
    backend_->upload(from, move_from_.data(), move_from_.size() * sizeof(KvSlot));
    backend_->upload(to, move_to_.data(), move_to_.size() * sizeof(KvSlot));
    backend_->move_kv(steps_[g].first_layer, steps_[g].layer_bytes, specs_[g].n_layers, from, to,
                      move_from_.size());
  }
}

void StateStore::commit(SequenceId id, std::span<const int32_t> tokens) {
  Sequence& s = sequences_[id];
  const uint32_t page_tokens = options_.format.page_tokens;
  while (!tokens.empty()) {
    const uint32_t number = s.length / page_tokens;
    const size_t count = std::min<size_t>(tokens.size(), page_tokens - s.length % page_tokens);
    const NodeId node = forest_.extend(s.path[number], tokens.first(count), s.first_pinned);
    if (node != s.path[number]) {
      s.path[number] = node;
      for (size_t g = 0; g < specs_.size(); ++g) {
        if (number >= s.first_pinned[g]) s.pages[g][number] = forest_.node(node).pages[g].page;
      }
    }
    s.length += static_cast<uint32_t>(count);
    tokens = tokens.subspan(count);
  }
  retire(s);
}

// Pages that no later row sees are no longer this sequence's.
void StateStore::retire(Sequence& s) {
  for (size_t g = 0; g < specs_.size(); ++g) {
    const uint32_t first = forest_.first_seen(g, s.length) / options_.format.page_tokens;
    for (; s.first_pinned[g] < std::min<size_t>(first, s.path.size()); ++s.first_pinned[g]) {
      forest_.unpin(s.path[s.first_pinned[g]], g);
      s.pages[g][s.first_pinned[g]] = kNoPage;
      ++retired_pages_;
    }
  }
}

bool StateStore::truncate(SequenceId id, uint32_t length) {
  Sequence& s = sequences_[id];
  HEADRACE_CHECK(length <= s.length);
  const uint32_t page_tokens = options_.format.page_tokens;
  const uint32_t full = length / page_tokens;
  const uint32_t rest = length % page_tokens;
  for (size_t g = 0; g < specs_.size(); ++g) {
    if (length > 0 && forest_.first_seen(g, length) / page_tokens < s.first_pinned[g]) return false;
  }
  // A copy of the last page first: if there is none, nothing has changed.
  Sequence& shorter = shorter_;
  begin(shorter, s.salt);
  adopt(shorter, std::span(s.path).first(full), length);
  if (rest > 0 && !copy_tail(shorter, s.path[full], rest)) {
    release(shorter);
    return false;
  }
  release(s);
  std::swap(s, shorter);
  return true;
}

// --- steps ------------------------------------------------------------------------------------------------

std::span<const GroupStep> StateStore::plan(std::span<const Row> rows) {
  HEADRACE_CHECK(rows.size() <= options_.max_rows);
  for (PlanBuilder& builder : builders_) builder.clear();
  step_sequences_.clear();
  for (size_t first = 0; first < rows.size();) {
    const Sequence& s = sequences_[rows[first].sequence];
    // A chain, then perhaps a tree behind its last row.
    size_t end = first;
    while (end < rows.size() && rows[end].sequence == rows[first].sequence && rows[end].ancestors == 0) {
      const Row& row = rows[end];
      HEADRACE_CHECK(row.position == rows[first].position + (end - first) && row.position >= s.length &&
                     row.slot == row.position);
      ++end;
    }
    const size_t tree = end;
    while (end < rows.size() && rows[end].sequence == rows[first].sequence) {
      const Row& row = rows[end];
      const auto ancestors = static_cast<uint32_t>(std::popcount(row.ancestors));
      HEADRACE_CHECK(row.ancestors != 0 && row.position == s.length + ancestors - 1 &&
                     row.slot == s.length + (end - tree) + 1);
      ++end;
    }
    HEADRACE_CHECK(tree > first && (tree == end || (tree == first + 1 && rows[first].position == s.length)));
    step_sequences_.push_back(rows[first].sequence);
    for (size_t g = 0; g < specs_.size(); ++g) {
      const uint32_t window = positions_seen(specs_[g]);
      builders_[g].begin_text();
      builders_[g].add(s.pages[g], rows.subspan(first, tree - first), static_cast<uint32_t>(first), window);
      if (tree < end) {
        HEADRACE_CHECK(!specs_[g].recurrent());
        builders_[g].add_tree(s.pages[g], rows.subspan(tree, end - tree), static_cast<uint32_t>(tree), window,
                              s.length);
      }
    }
    first = end;
  }
  share();
  for (size_t g = 0; g < specs_.size(); ++g) builders_[g].finish(*backend_, steps_[g]);
  return steps_;
}

// Orders the step's sequences so that those with equal beginnings are neighbours.
void StateStore::share() {
  if (!sharing_ || std::ranges::none_of(builders_, &PlanBuilder::shares)) return;
  texts_.clear();
  for (uint32_t i = 0; i < step_sequences_.size(); ++i) texts_.push_back({i, 0});
  const uint32_t page_tokens = options_.format.page_tokens;
  std::ranges::sort(texts_, [&](const OrderedText& a, const OrderedText& b) {
    const SequenceId x = step_sequences_[a.text];
    const SequenceId y = step_sequences_[b.text];
    const uint32_t common = common_tokens(x, y) / page_tokens;
    const bool x_ends = common == sequences_[x].path.size();
    const bool y_ends = common == sequences_[y].path.size();
    if (x_ends || y_ends) return x_ends && (!y_ends || a.text < b.text);
    return sequences_[x].path[common] < sequences_[y].path[common];
  });
  for (size_t i = 1; i < texts_.size(); ++i)
    texts_[i].common = common_tokens(step_sequences_[texts_[i - 1].text], step_sequences_[texts_[i].text]);
  for (PlanBuilder& builder : builders_) builder.share(texts_);
}

// In the same pages. A node has one parent, so that paths that have met never part before.
uint32_t StateStore::common_tokens(SequenceId a, SequenceId b) const {
  const std::vector<NodeId>& x = sequences_[a].path;
  const std::vector<NodeId>& y = sequences_[b].path;
  size_t low = 0;
  for (size_t high = std::min(x.size(), y.size()); low < high;) {
    const size_t middle = (low + high) / 2;
    if (x[middle] == y[middle])
      low = middle + 1;
    else
      high = middle;
  }
  return static_cast<uint32_t>(low) * options_.format.page_tokens;
}

uint64_t StateStore::saved_keys() const {
  uint64_t sum = 0;
  for (const PlanBuilder& builder : builders_) sum += builder.saved_keys();
  return sum;
}

PageCounts StateStore::available() const {
  PageCounts counts = {};
  for (size_t g = 0; g < specs_.size(); ++g) counts[g] = forest_.available(g);
  return counts;
}

PageCounts StateStore::overdrawn() const {
  PageCounts counts = {};
  for (size_t g = 0; g < specs_.size(); ++g) counts[g] = forest_.overdrawn(g);
  return counts;
}

PageCounts StateStore::released(SequenceId id) const {
  const Sequence& s = sequences_[id];
  PageCounts counts = {};
  for (size_t g = 0; g < specs_.size(); ++g) {
    for (uint32_t number = s.first_pinned[g]; number < s.path.size(); ++number) {
      counts[g] += forest_.pool(g).references(s.pages[g][number]) == 2 ? 1 : 0;
    }
  }
  return counts;
}

void StateStore::set_limit(uint64_t tokens) {
  for (size_t g = 0; g < specs_.size(); ++g) {
    forest_.pool(g).set_limit(pages_for_all(specs_[g], options_, tokens == 0 ? options_.tokens : tokens));
  }
}

}  // namespace headrace
