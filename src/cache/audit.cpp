// The books of pages: what the pools count, what the nodes hold and what the sequences see must agree.
#include <algorithm>

#include "cache/state_store.h"

namespace headrace {
namespace {

template <typename... Args>
Error wrong(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(Errc::bad_model, "books: {}", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

Status StateStore::audit_sequence(const Sequence& s) const {
  const uint32_t page_tokens = options_.format.page_tokens;
  if (s.path.size() * page_tokens < s.length) {
    return wrong("a sequence of {} tokens has {} pages", s.length, s.path.size());
  }
  for (uint32_t number = 0; number < s.path.size(); ++number) {
    const ForestNode& node = forest_.node(s.path[number]);
    if (node.number != number)
      return wrong("page {} of a sequence is number {} of its node", number, node.number);
    const bool chained = number == 0
                             ? forest_.node(node.parent).root && forest_.node(node.parent).salt == s.salt
                             : node.parent == s.path[number - 1];
    if (!chained) return wrong("page {} of a sequence does not follow the page before it", number);
    const uint64_t begin = uint64_t{number} * page_tokens;
    const uint64_t tokens = s.length > begin ? std::min<uint64_t>(s.length - begin, page_tokens) : 0;
    if (node.tokens.size() != tokens) {
      return wrong("page {} of a sequence holds {} tokens, its node {}", number, tokens, node.tokens.size());
    }
    for (size_t g = 0; g < specs_.size(); ++g) {
      const bool pinned = number >= s.first_pinned[g];
      if (s.pages[g][number] != (pinned ? node.pages[g].page : kNoPage)) {
        return wrong("group {}: page {} of a sequence is not its node's", g, number);
      }
      if (pinned && s.pages[g][number] == kNoPage) return wrong("group {}: page {} is gone", g, number);
    }
  }
  for (size_t g = 0; g < specs_.size(); ++g) {
    if (s.first_pinned[g] > forest_.first_seen(g, s.length) / page_tokens) {
      return wrong("group {}: pages from {} on are kept, but position {} is seen", g, s.first_pinned[g],
                   forest_.first_seen(g, s.length));
    }
  }
  return {};
}

Status StateStore::audit(size_t expected_open) const {
  std::vector<std::vector<uint32_t>>& owners = owners_;
  for (auto& counts : owners) std::ranges::fill(counts, 0);
  Status found;
  forest_.for_each([&](NodeId id) {
    const ForestNode& node = forest_.node(id);
    if (!node.root && node.parent == kNoNode) found = wrong("node {} has no parent", id);
    if (node.root && node.leaf()) found = wrong("root {} has no children", id);
    for (size_t g = 0; g < specs_.size(); ++g) {
      const PageRef& ref = node.pages[g];
      if (ref.page == kNoPage) continue;
      if (ref.generation != forest_.pool(g).generation(ref.page)) {
        found = wrong("group {}: node {} holds page {} of generation {}, which is now {}", g, id, ref.page,
                      ref.generation, forest_.pool(g).generation(ref.page));
      }
      if (++owners[g][ref.page] > 1) found = wrong("group {}: two nodes hold page {}", g, ref.page);
    }
    for (const auto& [tokens, child] : node.sealed) {
      const ForestNode& below = forest_.node(child);
      if (below.parent != id || below.open || !std::ranges::equal(below.tokens, tokens))
        found = wrong("node {}: child {}", id, child);
    }
    for (const NodeId child : node.writing) {
      if (forest_.node(child).parent != id || !forest_.node(child).open)
        found = wrong("node {}: child {}", id, child);
    }
  });
  HEADRACE_RETURN_IF_ERROR(found);
  size_t open = 0;
  for (const Sequence& s : sequences_) {
    if (!s.is_open) continue;
    ++open;
    HEADRACE_RETURN_IF_ERROR(audit_sequence(s));
    for (size_t g = 0; g < specs_.size(); ++g) {
      for (uint32_t number = s.first_pinned[g]; number < s.path.size(); ++number)
        ++owners[g][s.pages[g][number]];
    }
  }
  if (open != expected_open) return wrong("{} sequences are open, {} expected", open, expected_open);
  if (open + free_sequences_.size() != sequences_.size()) return wrong("a sequence is neither open nor free");
  for (size_t g = 0; g < specs_.size(); ++g) {
    const PagePool& pool = forest_.pool(g);
    uint32_t owned = 0;
    uint32_t alone = 0;
    for (PageId page = 0; page < pool.size(); ++page) {
      const uint32_t count = owners[g][page];
      if (pool.references(page) != count) {
        return wrong("group {}: page {} has {} references and {} owners", g, page, pool.references(page),
                     count);
      }
      owned += count > 0 ? 1 : 0;
      alone += count == 1 ? 1 : 0;
    }
    if (owned != pool.used()) {
      return wrong("group {}: {} pages are in use, nodes hold {}", g, pool.used(), owned);
    }
    if (alone != pool.unshared())
      return wrong("group {}: {} pages available, {} in the books", g, alone, pool.unshared());
  }
  return forest_.audit();
}

}  // namespace headrace
