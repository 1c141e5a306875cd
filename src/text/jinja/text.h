// A string that knows which of its bytes the template wrote.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/provenance.h"

namespace headrace::jinja {

/// Valid UTF-8 with a trust bit per byte, kept as runs. Every operation that builds a string copies bytes
/// together with their trust; text that an operation invents takes the trust that the caller names. Positions
/// are bytes on character boundaries.
class Text {
 public:
  Text() = default;
  Text(std::string_view bytes, bool trusted) { append(bytes, trusted); }

  std::string_view view() const { return bytes_; }
  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// Unicode code points, what Python calls the length.
  size_t characters() const { return characters_; }
  bool all_trusted() const;
  /// Markupsafe's Markup: text that counts as HTML, so that what is added to it is escaped. Copies and slices
  /// keep it.
  bool is_safe() const { return safe_; }
  void mark_safe(bool safe) { safe_ = safe; }

  void append(std::string_view bytes, bool trusted);
  void append(const Text& other);
  /// Appends other[begin, end).
  void append(const Text& other, size_t begin, size_t end);
  Text slice(size_t begin, size_t end) const;

  /// Byte position of the character with this index (at most characters()).
  size_t position_of(size_t character) const;
  /// Index of the character at this byte position.
  size_t character_at(size_t position) const;

  std::vector<TextPiece> pieces() const;

 private:
  struct Run {
    size_t end;
    bool trusted;
  };
  void extend(size_t end, bool trusted);

  std::string bytes_;
  std::vector<Run> runs_;  // ends ascend to bytes_.size(); neighbours differ in trust
  size_t characters_ = 0;
  bool safe_ = false;
};

}  // namespace headrace::jinja
