#include "text/added_tokens.h"

namespace headrace {
namespace {

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

uint64_t edge(uint32_t node, unsigned char byte) {
  return uint64_t{node} << 8 | byte;
}

}  // namespace

Result<AddedTokens> AddedTokens::create(const Vocabulary& vocabulary) {
  AddedTokens added;
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    if (!vocabulary.is_added(id)) continue;
    const std::string& spelling = vocabulary.spelling(id);
    if (spelling.size() > kMaxAddedTokenBytes) {
      return make_error(Errc::unsupported,
                        "tokenizer.ggml.tokens: added token {} has {} bytes, at most {} are supported", id,
                        spelling.size(), kMaxAddedTokenBytes);
    }
    uint32_t node = 0;
    for (size_t at = 0; at < spelling.size(); ++at) {
      const auto [next, fresh] = added.edges_.try_emplace(edge(node, byte_at(spelling, at)),
                                                          static_cast<uint32_t>(added.nodes_.size()));
      if (fresh) added.nodes_.emplace_back();
      node = next->second;
    }
    added.nodes_[node] = {id, vocabulary.kind(id) != TokenKind::user_defined};
    added.begins_token_[byte_at(spelling, 0)] = true;
  }
  return added;
}

const AddedTokens::Node* AddedTokens::longest_match(std::string_view text, size_t begin, size_t trusted_end,
                                                    size_t& end) const {
  const Node* longest = nullptr;
  uint32_t node = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    const auto next = edges_.find(edge(node, byte_at(text, at)));
    if (next == edges_.end()) break;
    node = next->second;
    const Node& here = nodes_[node];
    if (here.id < 0 || (here.special && at + 1 > trusted_end)) continue;
    longest = &here;
    end = at + 1;
  }
  return longest;
}

std::vector<AddedTokenMatch> AddedTokens::find(std::string_view text,
                                               std::span<const TextRange> trusted) const {
  std::vector<AddedTokenMatch> matches;
  size_t range = 0;  // the first that does not end before `at`
  for (size_t at = 0; at < text.size();) {
    if (!begins_token_[byte_at(text, at)]) {
      ++at;
      continue;
    }
    while (range < trusted.size() && trusted[range].end <= at) ++range;
    const bool inside = range < trusted.size() && trusted[range].begin <= at;
    size_t end = at + 1;
    if (const Node* match = longest_match(text, at, inside ? trusted[range].end : 0, end)) {
      matches.push_back({{at, end}, match->id});
    }
    at = end;
  }
  return matches;
}

}  // namespace headrace
