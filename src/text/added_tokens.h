// Tokens that are found in the text by their whole spelling: special ones (control and unknown) and
// user-defined ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "text/text_range.h"
#include "text/vocabulary.h"

namespace headrace {

/// Longest spelling of a special or user-defined token: it bounds the work per byte of text.
inline constexpr size_t kMaxAddedTokenBytes = 1024;
/// All these spellings together, what they begin with in common counted once: it bounds the memory. Gemma 3
/// has 6,400 of them with 90 kB.
inline constexpr size_t kMaxAddedTokensBytes = size_t{1} << 22;

struct AddedTokenMatch {
  TextRange range;
  TokenId id;
};

/// Immutable, so safe to read from several threads.
class AddedTokens {
 public:
  /// A token, and what it looks like in the text.
  struct Pattern {
    AddedTokenRule rule;
    std::string spelling;
  };

  /// `patterns` are of tokens of `vocabulary`, their spellings not empty; of equal ones the last counts.
  /// Fails with unsupported if a spelling is longer than kMaxAddedTokenBytes, with out_of_budget beyond
  /// kMaxAddedTokensBytes.
  static Result<AddedTokens> create(const Vocabulary& vocabulary, std::span<const Pattern> patterns);

  bool empty() const { return nodes_.size() == 1; }

  /// The matches in `text` from left to right, not overlapping; of several that begin at one byte the
  /// longest. A control token matches only inside one of the `trusted` ranges (ascending, apart from each
  /// other), but the white space that it takes along may lie outside.
  std::vector<AddedTokenMatch> find(std::string_view text, std::span<const TextRange> trusted) const;

 private:
  struct Node {
    std::optional<AddedTokenRule> rule;  // of the token that ends here, if any
    bool special = false;
  };
  const Node* longest_match(std::string_view text, size_t begin, size_t trusted_end, size_t& end) const;

  std::vector<Node> nodes_{Node{}};
  std::unordered_map<uint64_t, uint32_t> edges_;  // node << 8 | byte -> node
  std::array<bool, 256> begins_token_{};
};

}  // namespace headrace
