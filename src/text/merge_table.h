// The merges of a vocabulary, by the two tokens that they join.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

#include "core/result.h"
#include "text/symbol_merger.h"
#include "text/vocabulary.h"

namespace headrace {

/// Immutable, so safe to read from several threads.
class MergeTable {
 public:
  MergeTable() = default;

  /// `merges` are "left right", the first has the highest priority. Fails with bad_model for one that is not,
  /// that speaks of tokens that do not exist, or that makes a control token.
  static Result<MergeTable> create(const Vocabulary& vocabulary, std::span<const std::string> merges);

  /// What the tokens become, or nothing (Merge::kNone).
  Merge find(TokenId left, TokenId right) const;

 private:
  std::unordered_map<uint64_t, Merge> merges_;  // left << 32 | right
};

}  // namespace headrace
