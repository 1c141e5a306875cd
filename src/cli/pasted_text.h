// Pasted blocks: what of them belongs into a message, and what of them is shown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headrace::cli {

/// As a message wants it: newlines (terminals paste carriage returns), no control characters but tabs,
/// nothing of the newlines at its end.
std::string clean_paste(std::string_view text);

/// The long blocks of one line.
class Pastes {
 public:
  /// What shall stand in the line for a block: the block itself if it is short.
  std::string take(std::string block);
  /// `line` with every block in the place where it still stands.
  std::string expand(std::string_view line) const;
  void clear() { blocks_.clear(); }

 private:
  struct Block {
    std::string label;
    std::string text;
  };
  std::vector<Block> blocks_;
};

}  // namespace headrace::cli
