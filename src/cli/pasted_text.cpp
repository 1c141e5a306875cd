#include "cli/pasted_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/output.h"

namespace headrace::cli {
namespace {

// What can still be seen and edited as a whole.
constexpr size_t kShownBytes = 1000;
constexpr ptrdiff_t kShownNewlines = 9;

bool unwanted(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
}

}  // namespace

std::string clean_paste(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool crlf = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (crlf) continue;
    const char c = text[i] == '\r' ? '\n' : text[i];
    if (!unwanted(c)) clean += c;
  }
  clean.resize(clean.find_last_not_of('\n') + 1);
  return clean;
}

std::string Pastes::take(std::string block) {
  const ptrdiff_t newlines = std::ranges::count(block, '\n');
  if (block.size() <= kShownBytes && newlines <= kShownNewlines) return block;
  const std::string size =
      newlines > 0 ? fmt::format("{} lines", newlines + 1) : grouped(block.size()) + " bytes";
  std::string label = fmt::format("[paste {}: {}]", blocks_.size() + 1, size);
  blocks_.push_back({label, std::move(block)});
  return label;
}

std::string Pastes::expand(std::string_view line) const {
  std::string out;
  while (!line.empty()) {
    const auto here =
        std::ranges::find_if(blocks_, [&](const Block& b) { return line.starts_with(b.label); });
    out += here == blocks_.end() ? line.substr(0, 1) : std::string_view(here->text);
    line.remove_prefix(here == blocks_.end() ? 1 : here->label.size());
  }
  return out;
}

}  // namespace headrace::cli
