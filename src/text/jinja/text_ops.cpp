#include "text/jinja/text_ops.h"

#include <algorithm>
#include <string>

#include "core/utf8.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

bool holds(std::optional<std::string_view> characters, uint32_t c) {
  if (!characters) return is_space(c);
  for (size_t i = 0; i < characters->size();) {
    const Utf8Char candidate = decode_utf8(*characters, i);
    if (candidate.code_point == c) return true;
    i += candidate.size;
  }
  return false;
}

// The start of the character that ends at `end`.
size_t previous(std::string_view text, size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

// A copy with every character replaced by what `append_mapped(out, code point, index)` writes for it. A
// character's image has the character's trust.
template <typename F>
Text map_characters(const Text& text, F append_mapped) {
  Text result;
  std::string image;
  for (const TextPiece& piece : text.pieces()) {
    image.clear();
    for (size_t i = 0; i < piece.text.size();) {
      const Utf8Char c = decode_utf8(piece.text, i);
      append_mapped(image, c.code_point);
      i += c.size;
    }
    result.append(image, piece.trusted);
  }
  return result;
}

bool is_line_end(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

Text strip(const Text& text, Side side, std::optional<std::string_view> characters) {
  const std::string_view bytes = text.view();
  size_t begin = 0;
  size_t end = bytes.size();
  while (side != Side::right && begin < end) {
    const Utf8Char c = decode_utf8(bytes, begin);
    if (!holds(characters, c.code_point)) break;
    begin += c.size;
  }
  while (side != Side::left && begin < end) {
    const size_t start = previous(bytes, end);
    if (!holds(characters, decode_utf8(bytes, start).code_point)) break;
    end = start;
  }
  return text.slice(begin, end);
}

Result<Text> replace(Runtime& runtime, const Text& text, std::string_view old_part, const Text& new_part,
                     int64_t count) {
  const std::string_view bytes = text.view();
  HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(bytes.size()));
  std::vector<size_t> places;
  // An empty pattern matches in front of every character and at the end.
  for (size_t from = 0; count != 0 && from <= bytes.size(); --count) {
    const size_t found = bytes.find(old_part, from);
    if (found == std::string_view::npos) break;
    places.push_back(found);
    from = found + old_part.size();
    if (old_part.empty()) from += from < bytes.size() ? decode_utf8(bytes, from).size : 1;
  }
  const uint64_t added = uint64_t{places.size()} * new_part.size();
  HEADRACE_RETURN_IF_ERROR(runtime.fits(bytes.size() + added));
  HEADRACE_RETURN_IF_ERROR(runtime.work(1 + places.size() + added / 32));
  Text result;
  size_t copied = 0;
  for (const size_t place : places) {
    result.append(text, copied, place);
    result.append(new_part);
    copied = place + old_part.size();
  }
  result.append(text, copied, text.size());
  return result;
}

std::vector<Text> split(const Text& text, std::string_view separator, int64_t max, bool from_right) {
  const std::string_view bytes = text.view();
  std::vector<Text> parts;
  if (!from_right) {
    size_t begin = 0;
    for (; max != 0; --max) {
      const size_t found = bytes.find(separator, begin);
      if (found == std::string_view::npos) break;
      parts.push_back(text.slice(begin, found));
      begin = found + separator.size();
    }
    parts.push_back(text.slice(begin, text.size()));
    return parts;
  }
  size_t end = bytes.size();
  for (; max != 0; --max) {
    if (end < separator.size()) break;
    const size_t found = bytes.rfind(separator, end - separator.size());
    if (found == std::string_view::npos) break;
    parts.push_back(text.slice(found + separator.size(), end));
    end = found;
  }
  parts.push_back(text.slice(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> split_words(const Text& text, int64_t max, bool from_right) {
  std::vector<Text> parts;
  Text rest = strip(text, from_right ? Side::right : Side::left, std::nullopt);
  const std::string_view bytes = rest.view();
  size_t begin = 0;
  size_t end = bytes.size();
  while (begin < end) {
    if (max-- == 0) {
      parts.push_back(strip(rest.slice(begin, end), from_right ? Side::right : Side::left, std::nullopt));
      break;
    }
    if (from_right) {
      size_t word = end;
      while (word > begin && !is_space(decode_utf8(bytes, previous(bytes, word)).code_point))
        word = previous(bytes, word);
      parts.push_back(rest.slice(word, end));
      end = word;
      while (end > begin && is_space(decode_utf8(bytes, previous(bytes, end)).code_point))
        end = previous(bytes, end);
    } else {
      size_t word = begin;
      while (word < end && !is_space(decode_utf8(bytes, word).code_point))
        word += decode_utf8(bytes, word).size;
      parts.push_back(rest.slice(begin, word));
      begin = word;
      while (begin < end && is_space(decode_utf8(bytes, begin).code_point))
        begin += decode_utf8(bytes, begin).size;
    }
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  const std::string_view bytes = text.view();
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t i = 0; i < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, i);
    const size_t line_end = i;
    i += c.size;
    if (!is_line_end(c.code_point)) continue;
    if (c.code_point == '\r' && i < bytes.size() && bytes[i] == '\n') ++i;
    lines.push_back(text.slice(begin, keep_ends ? i : line_end));
    begin = i;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Result<Text> join(Runtime& runtime, const Text& separator, const std::vector<Text>& parts) {
  uint64_t bytes = 0;
  for (const Text& part : parts) bytes += part.size() + separator.size();
  HEADRACE_RETURN_IF_ERROR(runtime.fits(bytes));
  HEADRACE_RETURN_IF_ERROR(runtime.work_on_bytes(bytes));
  Text result;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) result.append(separator);
    result.append(parts[i]);
  }
  return result;
}

Text upper(const Text& text) {
  return map_characters(text, [](std::string& out, uint32_t c) { append_upper(out, c); });
}

Text lower(const Text& text) {
  return map_characters(text, [](std::string& out, uint32_t c) { append_utf8(out, to_lower(c)); });
}

Text capitalize(const Text& text) {
  return map_characters(text, [first = true](std::string& out, uint32_t c) mutable {
    append_utf8(out, first ? to_upper(c) : to_lower(c));
    first = false;
  });
}

Text title(const Text& text, bool (*breaks)(uint32_t code_point)) {
  return map_characters(text, [breaks, after_break = true](std::string& out, uint32_t c) mutable {
    if (after_break) {
      append_upper(out, c);
    } else {
      append_utf8(out, to_lower(c));
    }
    after_break = breaks(c);
  });
}

Text reversed(const Text& text) {
  Text result;
  for (size_t end = text.size(); end > 0;) {
    const size_t begin = previous(text.view(), end);
    result.append(text, begin, end);
    end = begin;
  }
  return result;
}

Text escape_html(const Text& text) {
  Text result;
  for (const TextPiece& piece : text.pieces()) {
    std::string escaped;
    for (const char c : piece.text) {
      switch (c) {
        case '&':
          escaped += "&amp;";
          break;
        case '<':
          escaped += "&lt;";
          break;
        case '>':
          escaped += "&gt;";
          break;
        case '\'':
          escaped += "&#39;";
          break;
        case '"':
          escaped += "&#34;";
          break;
        default:
          escaped += c;
      }
    }
    result.append(escaped, piece.trusted);
  }
  result.mark_safe(true);
  return result;
}

}  // namespace headrace::jinja
