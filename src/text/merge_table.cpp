#include "text/merge_table.h"

#include <optional>
#include <string_view>

#include "core/file.h"

namespace headrace {
namespace {

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Result<MergeTable> MergeTable::create(const Vocabulary& vocabulary, std::span<const std::string> merges) {
  MergeTable table;
  table.merges_.reserve(merges.size());
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const size_t space = merge.find(' ');
    const auto wrong = [&](std::string_view why) {
      return make_error(Errc::bad_model, "tokenizer.ggml.merges: entry {}, \"{}\", {}", i, printable(merge),
                        why);
    };
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return wrong("is not two tokens and one space");
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const std::optional<TokenId> left = vocabulary.find(merge.substr(0, space));
    const std::optional<TokenId> right = vocabulary.find(merge.substr(space + 1));
    const std::optional<TokenId> result = vocabulary.find(joined);
    if (!left || !right || !result)
      return wrong("names or makes a token that is not in tokenizer.ggml.tokens");
    if (vocabulary.kind(*result) == TokenKind::control) return wrong("makes a control token");
    table.merges_.try_emplace(pair_key(*left, *right), Merge{static_cast<uint32_t>(i), *result});
  }
  return table;
}

Merge MergeTable::find(TokenId left, TokenId right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? Merge{} : found->second;
}

}  // namespace headrace
