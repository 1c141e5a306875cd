#include "text/jinja/text.h"

#include <algorithm>

#include "core/utf8.h"

namespace headrace::jinja {
namespace {

size_t count_characters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;  // not a continuation byte
  }));
}

}  // namespace

bool Text::all_trusted() const {
  return runs_.empty() || (runs_.size() == 1 && runs_.front().trusted);
}

void Text::extend(size_t end, bool trusted) {
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = end;
  } else {
    runs_.push_back({end, trusted});
  }
}

void Text::append(std::string_view bytes, bool trusted) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  characters_ += count_characters(bytes);
  extend(bytes_.size(), trusted);
}

void Text::append(const Text& other) {
  append(other, 0, other.size());
}

void Text::append(const Text& other, size_t begin, size_t end) {
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                              [](size_t position, const Run& r) { return position < r.end; });
  for (; begin < end; ++run) {
    const size_t stop = std::min(end, run->end);
    append(other.view().substr(begin, stop - begin), run->trusted);
    begin = stop;
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text part;
  part.append(*this, begin, end);
  part.safe_ = safe_;
  return part;
}

size_t Text::position_of(size_t character) const {
  if (characters_ == bytes_.size()) return character;
  size_t position = 0;
  while (character > 0) {
    position += decode_utf8(bytes_, position).size;
    --character;
  }
  return position;
}

size_t Text::character_at(size_t position) const {
  if (characters_ == bytes_.size()) return position;
  return count_characters(view().substr(0, position));
}

std::vector<TextPiece> Text::pieces() const {
  std::vector<TextPiece> pieces;
  size_t begin = 0;
  for (const Run& run : runs_) {
    pieces.push_back({bytes_.substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return pieces;
}

}  // namespace headrace::jinja
