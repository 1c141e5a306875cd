#include "cache/forest.h"

#include <algorithm>
#include <type_traits>

namespace headrace {
namespace {

uint32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) ++i;
  return static_cast<uint32_t>(i);
}

}  // namespace

std::string_view name_of(ReuseLimit limit) {
  switch (limit) {
    case ReuseLimit::whole:
      return "whole";
    case ReuseLimit::different:
      return "different";
    case ReuseLimit::retired:
      return "retired";
    case ReuseLimit::outputs:
      return "outputs";
    case ReuseLimit::no_page:
      return "no_page";
    case ReuseLimit::off:
      return "off";
  }
  return "?";
}

Forest::Forest(std::vector<PagePool> pools, std::vector<uint32_t> windows, uint32_t page_tokens)
    : pools_(std::move(pools)),
      windows_(std::move(windows)),
      page_tokens_(page_tokens),
      candidates_(pools_.size()),
      is_candidate_(pools_.size()) {
  HEADRACE_CHECK(pools_.size() == windows_.size() && !pools_.empty() && pools_.size() <= kMaxLayerGroups);
  // A node holds a page of every group that keeps everything, and each root has a child.
  make_nodes(2 * size_t{std::ranges::max_element(pools_, {}, &PagePool::size)->size()});
}

uint32_t Forest::first_seen(size_t group, uint32_t position) const {
  const uint32_t window = windows_[group];
  return window == 0 || position + 1 <= window ? 0 : position + 1 - window;
}

// --- matching ---------------------------------------------------------------------------------------------

void Forest::match(uint64_t salt, std::span<const int32_t> tokens, PrefixMatch& found) const {
  found.path.clear();
  found.partial = kNoNode;
  found.partial_tokens = 0;
  found.limit = ReuseLimit::different;
  NodeId at = find_root(salt);
  if (at == kNoNode) return;
  while (true) {
    const std::span<const int32_t> rest = tokens.subspan(found.path.size() * page_tokens_);
    const std::span<const int32_t> key = rest.first(std::min<size_t>(page_tokens_, rest.size()));
    if (key.empty()) break;
    // In lexicographic order the child with the longest common prefix is a neighbour of the key's place.
    const auto& sealed = nodes_[at].sealed;
    const auto next = sealed.lower_bound({key});
    if (key.size() == page_tokens_ && next != sealed.end() && std::ranges::equal(next->tokens, key)) {
      at = next->node;
      found.path.push_back(at);
      continue;
    }
    const auto consider = [&](NodeId child) {
      const uint32_t common = common_prefix(nodes_[child].tokens, key);
      if (common <= found.partial_tokens) return;
      found.partial = child;
      found.partial_tokens = common;
    };
    if (next != sealed.end()) consider(next->node);
    if (next != sealed.begin()) consider(std::prev(next)->node);
    for (const NodeId child : nodes_[at].writing) consider(child);
    break;
  }
  const uint32_t length = found.tokens(page_tokens_);
  found.limit = length == tokens.size() ? ReuseLimit::whole : ReuseLimit::different;
  const uint32_t valid = valid_length(found.path, found.partial, length);
  if (valid < length) {
    found.limit = ReuseLimit::retired;
    found.partial = kNoNode;  // what is missing is a page: the rest ends at one
    found.partial_tokens = 0;
    found.path.resize(valid / page_tokens_);
  }
}

// The longest length up to `length` at which every group has all pages that the next row would see.
uint32_t Forest::valid_length(std::span<const NodeId> path, NodeId partial, uint32_t length) const {
  const auto present = [&](size_t group, uint32_t number) {
    const NodeId id = number < path.size() ? path[number] : partial;
    return nodes_[id].pages[group].page != kNoPage;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (length == 0) return 0;
      const uint32_t first = first_seen(g, length) / page_tokens_;
      for (uint32_t number = (length - 1) / page_tokens_ + 1; number > first; --number) {
        if (present(g, number - 1)) continue;
        length = (number - 1) * page_tokens_;
        changed = true;
        break;
      }
    }
  }
  return length;
}

// --- pages ------------------------------------------------------------------------------------------------

bool Forest::held(NodeId id) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const PageId page = nodes_[id].pages[g].page;
    if (page != kNoPage && pools_[g].references(page) > 1) return true;
  }
  return false;
}

// A group that keeps everything gives up whole leaves, one with a window single pages anywhere.
bool Forest::evictable(NodeId id, size_t group) const {
  const ForestNode& n = nodes_[id];
  if (n.root || n.open || n.pages[group].page == kNoPage) return false;
  if (pools_[group].references(n.pages[group].page) > 1) return false;
  return !keeps_all(group) || (n.leaf() && !held(id));
}

// Brings the node's place among the candidates up to date after anything about it changed.
void Forest::refresh(NodeId id) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const bool now = live_[id] && evictable(id, g);
    if (now == is_candidate_[g][id]) continue;
    const Candidate candidate = {nodes_[id].last_used, nodes_[id].number, id};
    if (now) {
      spare_candidates_.insert(candidates_[g], candidate);
    } else {
      spare_candidates_.erase(candidates_[g], candidate);
    }
    is_candidate_[g][id] = now;
  }
}

void Forest::drop_page(NodeId id, size_t group) {
  PageRef& ref = nodes_[id].pages[group];
  if (ref.page == kNoPage) return;
  pools_[group].release(ref.page);
  ref = {};
}

void Forest::remove_leaf(NodeId id) {
  HEADRACE_CHECK(nodes_[id].leaf() && !held(id));
  const NodeId parent = nodes_[id].parent;
  if (nodes_[id].root) {
    spare_roots_.erase(roots_, {nodes_[id].salt, id});
  } else if (nodes_[id].open) {
    stop_writing(parent, id);
  } else {
    spare_sealed_.erase(nodes_[parent].sealed, {nodes_[id].tokens});
  }
  for (size_t g = 0; g < pools_.size(); ++g) drop_page(id, g);
  live_[id] = false;
  refresh(id);
  std::vector<int32_t> memory = std::move(nodes_[id].tokens);
  memory.clear();
  nodes_[id] = {};
  nodes_[id].tokens = std::move(memory);
  free_nodes_.push_back(id);
  if (parent == kNoNode) return;
  refresh(parent);
  if (nodes_[parent].root && nodes_[parent].leaf()) remove_leaf(parent);
}

// Takes the page of `group` that was used least recently.
void Forest::evict_one(size_t group) {
  const NodeId id = std::get<2>(*candidates_[group].begin());
  if (keeps_all(group)) {
    remove_leaf(id);
    return;
  }
  drop_page(id, group);
  refresh(id);
  // Without any page a leaf is of no use; inside it still holds the path together.
  const auto has_page = [](const PageRef& ref) { return ref.page != kNoPage; };
  if (nodes_[id].leaf() && std::ranges::none_of(nodes_[id].pages, has_page)) remove_leaf(id);
}

bool Forest::make_room(size_t group) {
  while (pools_[group].free_pages() == 0) {
    if (candidates_[group].empty()) return false;
    evict_one(group);
    ++evicted_;
  }
  return true;
}

uint32_t Forest::available(size_t group) const {
  return pools_[group].room_beside(pools_[group].used() - pools_[group].unshared());
}

uint32_t Forest::overdrawn(size_t group) const {
  const uint32_t pinned = pools_[group].used() - pools_[group].unshared();
  return pinned - std::min(pinned, pools_[group].limit());
}

void Forest::pin(NodeId id, size_t group) {
  pools_[group].retain(nodes_[id].pages[group].page);
  refresh(id);
}

void Forest::unpin(NodeId id, size_t group) {
  pools_[group].release(nodes_[id].pages[group].page);
  refresh(id);
}

void Forest::touch(std::span<const NodeId> path) {
  ++clock_;
  for (const NodeId id : path) {
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (!is_candidate_[g][id]) continue;
      spare_candidates_.erase(candidates_[g], {nodes_[id].last_used, nodes_[id].number, id});
      is_candidate_[g][id] = false;
    }
    nodes_[id].last_used = clock_;
    refresh(id);
  }
}

void Forest::clear() {
  for (size_t g = 0; g < pools_.size(); ++g) {
    while (!candidates_[g].empty()) evict_one(g);
  }
}

// --- growing ----------------------------------------------------------------------------------------------

void Forest::make_nodes(size_t count) {
  // Siblings are ordered by spans of their nodes' tokens (SealedChild): those must not move with the node.
  static_assert(std::is_nothrow_move_constructible_v<ForestNode>);
  const size_t before = nodes_.size();
  const size_t after = before + count;
  nodes_.resize(after);
  live_.resize(after);
  for (auto& flags : is_candidate_) flags.resize(after);
  free_nodes_.reserve(after);
  for (size_t id = after; id > before; --id) {
    nodes_[id - 1].tokens.reserve(page_tokens_);
    free_nodes_.push_back(static_cast<NodeId>(id - 1));
  }
  spare_roots_.add(count);
  spare_sealed_.add(count);
  spare_candidates_.add(count * pools_.size());
  spare_writing_.resize(spare_writing_.size() + count);
}

NodeId Forest::new_node() {
  if (free_nodes_.empty()) make_nodes(nodes_.size());
  const NodeId id = free_nodes_.back();
  free_nodes_.pop_back();
  live_[id] = true;
  return id;
}

NodeId Forest::find_root(uint64_t salt) const {
  const auto found = roots_.lower_bound({salt, 0});
  return found == roots_.end() || found->first != salt ? kNoNode : found->second;
}

NodeId Forest::root_of(uint64_t salt) {
  const NodeId found = find_root(salt);
  if (found != kNoNode) return found;
  const NodeId id = new_node();
  nodes_[id].root = true;
  nodes_[id].salt = salt;
  spare_roots_.insert(roots_, {salt, id});
  return id;
}

void Forest::start_writing(NodeId parent, NodeId id) {
  std::list<NodeId>& writing = nodes_[parent].writing;
  spare_writing_.front() = id;
  writing.splice(writing.end(), spare_writing_, spare_writing_.begin());
}

void Forest::stop_writing(NodeId parent, NodeId id) {
  std::list<NodeId>& writing = nodes_[parent].writing;
  spare_writing_.splice(spare_writing_.begin(), writing, std::ranges::find(writing, id));
}

// The node is among its parent's sealed children already.
void Forest::seal(NodeId id) {
  stop_writing(nodes_[id].parent, id);
  nodes_[id].open = false;
  refresh(id);
}

NodeId Forest::append(NodeId parent, uint64_t salt) {
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (!make_room(g)) return kNoNode;
  }
  const bool first = parent == kNoNode;
  if (first) parent = root_of(salt);
  const NodeId id = new_node();
  ForestNode& n = nodes_[id];
  n.parent = parent;
  n.number = first ? 0 : nodes_[parent].number + 1;
  n.open = true;
  start_writing(parent, id);
  for (size_t g = 0; g < pools_.size(); ++g) {
    const PageId page = pools_[g].allocate();
    n.pages[g] = {page, pools_[g].generation(page)};
    pools_[g].retain(page);
  }
  refresh(parent);
  return id;
}

NodeId Forest::extend(NodeId id, std::span<const int32_t> tokens, std::span<const uint32_t> first_pinned) {
  ForestNode& n = nodes_[id];
  HEADRACE_CHECK(n.open && n.tokens.size() + tokens.size() <= page_tokens_);
  n.tokens.insert(n.tokens.end(), tokens.begin(), tokens.end());
  if (n.tokens.size() < page_tokens_) return id;
  const auto [at, fresh] = spare_sealed_.insert(nodes_[n.parent].sealed, {n.tokens, id});
  if (!fresh) return merge_into(at->node, id, first_pinned);
  seal(id);
  return id;
}

// Two sequences computed the same page: the bits are equal, so one of them will do.
NodeId Forest::merge_into(NodeId twin, NodeId id, std::span<const uint32_t> first_pinned) {
  ForestNode& n = nodes_[id];
  for (size_t g = 0; g < pools_.size(); ++g) {
    const bool pinned = n.number >= first_pinned[g];
    if (nodes_[twin].pages[g].page == kNoPage) {
      std::swap(nodes_[twin].pages[g], n.pages[g]);  // the twin's was retired; references move along
      continue;
    }
    if (!pinned) continue;
    pools_[g].retain(nodes_[twin].pages[g].page);
    pools_[g].release(n.pages[g].page);
  }
  for (const NodeId child : n.writing) nodes_[child].parent = twin;
  nodes_[twin].writing.splice(nodes_[twin].writing.end(), n.writing);
  refresh(twin);
  remove_leaf(id);
  return twin;
}

void Forest::close(NodeId id) {
  ForestNode& n = nodes_[id];
  if (!n.open) return;
  HEADRACE_CHECK(n.leaf() && !held(id));
  std::set<SealedChild>& siblings = nodes_[n.parent].sealed;
  // A sealed sibling that goes on from here has all that this one has.
  const auto next = siblings.lower_bound({n.tokens});
  const bool known = next != siblings.end() && common_prefix(next->tokens, n.tokens) == n.tokens.size();
  if (n.tokens.empty() || known) {
    remove_leaf(id);
    return;
  }
  spare_sealed_.insert(siblings, {n.tokens, id});
  seal(id);
}

Status Forest::audit() const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    size_t count = 0;
    for (NodeId id = 0; id < nodes_.size(); ++id) {
      const bool is = live_[id] && evictable(id, g);
      count += is ? 1 : 0;
      const Candidate candidate = {nodes_[id].last_used, nodes_[id].number, id};
      if (is != is_candidate_[g][id] || (is && !candidates_[g].contains(candidate))) {
        return make_error(Errc::bad_model, "group {}: node {} is {}evictable, the books say otherwise", g, id,
                          is ? "" : "not ");
      }
    }
    if (count != candidates_[g].size()) {
      return make_error(Errc::bad_model, "group {}: {} evictable nodes, {} in the books", g, count,
                        candidates_[g].size());
    }
  }
  return {};
}

}  // namespace headrace
