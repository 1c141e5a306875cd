// Ends an answer at strings that the caller chose, wherever tokens happen to be cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.h"

namespace headrace {

/// Bytes of all stop strings of a request together.
inline constexpr size_t kMaxStopBytes = size_t{64} << 10;

/// Watches a stream of text for stop strings. The first to be complete wins; of several that end at the same
/// byte the longest, so that nothing of it is left behind ("ab" before "abc"; "xab" before "ab"). How the
/// text is cut into push() calls changes nothing. Costs linear time in the text, however many strings there
/// are. One object serves one answer and one thread.
class StopMatcher {
 public:
  /// `stops` may be empty: then nothing is ever held back. Fails with usage for an empty string, one that is
  /// not UTF-8, or more than kMaxStopBytes.
  static Result<StopMatcher> create(const std::vector<std::string>& stops);

  /// Takes the next text of the answer and returns what is now certain not to belong to a stop string. After
  /// a match nothing comes any more: the stop string and what follows it are dropped.
  std::string push(std::string_view text);

  /// The answer is over: returns what was held back.
  std::string finish();

  /// Which of `stops` matched; of equal strings the first.
  std::optional<size_t> matched() const { return matched_; }

 private:
  // A node stands for the longest end of the text so far that begins some stop string (Aho-Corasick).
  struct Node {
    uint32_t depth = 0;          // its length
    uint32_t fallback = 0;       // the node of its longest proper end
    std::optional<size_t> stop;  // the longest stop string that it ends in
  };

  StopMatcher() = default;
  void add(std::string_view stop, size_t index);
  void link();
  std::optional<uint32_t> child(uint32_t node, char byte) const;
  uint32_t step(uint32_t node, char byte) const;

  std::vector<Node> nodes_{Node{}};
  std::unordered_map<uint64_t, uint32_t> edges_;  // node << 8 | byte -> node
  std::vector<size_t> stop_bytes_;
  uint32_t node_ = 0;
  std::string held_;
  std::optional<size_t> matched_;
};

}  // namespace headrace
