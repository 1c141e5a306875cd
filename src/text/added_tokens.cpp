#include "text/added_tokens.h"

#include "core/utf8.h"
#include "text/characters.h"

namespace headrace {
namespace {

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

size_t spaces_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Char next = decode_utf8(text, at);
    if (!is_white_space(next.code_point)) break;
    at += next.size;
  }
  return at;
}

size_t spaces_begin(std::string_view text, size_t at, size_t first) {
  while (at > first) {
    const size_t before = previous_character(text, at);
    if (!is_white_space(decode_utf8(text, before).code_point)) break;
    at = before;
  }
  return at;
}

bool stands_alone(std::string_view text, TextRange range) {
  const auto word_at = [&](size_t at) { return is_word_character(decode_utf8(text, at).code_point); };
  return (range.begin == 0 || !word_at(previous_character(text, range.begin))) &&
         (range.end == text.size() || !word_at(range.end));
}

uint64_t edge(uint32_t node, unsigned char byte) {
  return uint64_t{node} << 8 | byte;
}

}  // namespace

Result<AddedTokens> AddedTokens::create(const Vocabulary& vocabulary, std::span<const Pattern> patterns) {
  AddedTokens added;
  for (const Pattern& pattern : patterns) {
    const std::string& spelling = pattern.spelling;
    if (spelling.size() > kMaxAddedTokenBytes) {
      return make_error(Errc::unsupported,
                        "tokenizer.ggml.tokens: added token {} has {} bytes, at most {} are supported",
                        pattern.rule.id, spelling.size(), kMaxAddedTokenBytes);
    }
    uint32_t node = 0;
    for (size_t at = 0; at < spelling.size(); ++at) {
      const auto [next, fresh] = added.edges_.try_emplace(edge(node, byte_at(spelling, at)),
                                                          static_cast<uint32_t>(added.nodes_.size()));
      if (fresh) {
        if (added.nodes_.size() > kMaxAddedTokensBytes) {
          return make_error(Errc::out_of_budget, "added tokens have more than {} bytes",
                            kMaxAddedTokensBytes);
        }
        added.nodes_.emplace_back();
      }
      node = next->second;
    }
    added.nodes_[node] = {pattern.rule, vocabulary.kind(pattern.rule.id) != TokenKind::user_defined};
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
    if (!here.rule || (here.special && at + 1 > trusted_end)) continue;
    longest = &here;
    end = at + 1;
  }
  return longest;
}

std::vector<AddedTokenMatch> AddedTokens::find(std::string_view text,
                                               std::span<const TextRange> trusted) const {
  std::vector<AddedTokenMatch> matches;
  size_t range = 0;      // the first that does not end before `at`
  size_t free_from = 0;  // the end of the last match
  for (size_t at = 0; at < text.size();) {
    if (!begins_token_[byte_at(text, at)]) {
      ++at;
      continue;
    }
    while (range < trusted.size() && trusted[range].end <= at) ++range;
    const bool inside = range < trusted.size() && trusted[range].begin <= at;
    size_t end = at + 1;
    if (const Node* match = longest_match(text, at, inside ? trusted[range].end : 0, end)) {
      const AddedTokenRule& rule = *match->rule;
      if (!rule.single_word || stands_alone(text, {at, end})) {
        TextRange taken{at, end};
        if (rule.lstrip) taken.begin = spaces_begin(text, at, free_from);
        if (rule.rstrip) taken.end = spaces_end(text, end);
        matches.push_back({taken, rule.id});
        free_from = end = taken.end;
      }
    }
    at = end;
  }
  return matches;
}

}  // namespace headrace
