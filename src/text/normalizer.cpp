#include "text/normalizer.h"

#include <utility>

#include "core/utf8.h"
#include "text/characters.h"
#include "text/nfc.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

void append(NormalizedText& out, std::string_view text, bool trusted) {
  if (text.empty()) return;
  const size_t begin = out.text.size();
  out.text += text;
  if (!trusted) return;
  if (!out.trusted.empty() && out.trusted.back().end == begin) {
    out.trusted.back().end = out.text.size();
  } else {
    out.trusted.push_back({begin, out.text.size()});
  }
}

// The characters around `edge` that normalisation may mix, as a range; empty if it is safe to cut there.
TextRange mixed_at(std::string_view text, size_t edge) {
  TextRange mixed{edge, edge};
  while (mixed.end < text.size()) {
    const Utf8Char next = decode_utf8(text, mixed.end);
    if (!joins_what_comes_before(next.code_point)) break;
    mixed.end += next.size;
  }
  if (mixed.end == edge) return mixed;
  while (mixed.begin > 0) {
    mixed.begin = previous_character(text, mixed.begin);
    if (!joins_what_comes_before(decode_utf8(text, mixed.begin).code_point)) break;
  }
  return mixed;
}

// Normalises stretch by stretch, each trusted as a whole or not at all.
NormalizedText nfc(std::string_view text, std::span<const TextRange> trusted) {
  NormalizedText out;
  size_t at = 0;
  const auto take = [&](size_t end, bool is_trusted) {
    if (end <= at) return;
    append(out, to_nfc(text.substr(at, end - at)), is_trusted);
    at = end;
  };
  const auto cross = [&](size_t edge, bool trusted_before) {
    if (edge < at) return;  // in the midst of what has been taken as mixed
    const TextRange mixed = mixed_at(text, edge);
    take(mixed.begin, trusted_before);
    take(mixed.end, false);
  };
  for (const TextRange range : trusted) {
    cross(range.begin, false);
    cross(range.end, true);
  }
  take(text.size(), false);
  return out;
}

NormalizedText mark_spaces(std::string_view text, std::span<const TextRange> trusted, bool prepend) {
  NormalizedText out;
  out.text.reserve(text.size() + text.size() / 2);
  size_t range = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    while (range < trusted.size() && trusted[range].end <= at) ++range;
    const bool inside = range < trusted.size() && trusted[range].begin <= at;
    if (at == 0 && prepend) append(out, kSpaceMark, inside);
    append(out, text[at] == ' ' ? kSpaceMark : text.substr(at, 1), inside);
  }
  return out;
}

}  // namespace

Normalizer::Normalizer(const TokenizerSpec& spec)
    : nfc_(spec.nfc),
      marks_spaces_(spec.model == TokenizerModel::sentencepiece_bpe),
      prepends_mark_(spec.space_prefix == SpacePrefix::always) {}

NormalizedText Normalizer::apply(std::string_view text, std::span<const TextRange> trusted) const {
  NormalizedText out;
  if (nfc_) {
    out = nfc(text, trusted);
  } else {
    out = {std::string(text), {trusted.begin(), trusted.end()}};
  }
  if (marks_spaces_) out = mark_spaces(out.text, out.trusted, prepends_mark_);
  return out;
}

}  // namespace headrace
