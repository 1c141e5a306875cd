// Text in motion: each fast way is held against a plain one that is obviously right.
#include <algorithm>
#include <array>
#include <vector>

#include "byte_reader.h"
#include "core/utf8.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer.h"
#include "text/stop_strings.h"
#include "text/stream_detokenizer.h"
#include "text/testing/small_vocabulary.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

using testing::ByteReader;
using testing::SmallVocabulary;
using Ids = std::vector<TokenId>;

constexpr std::array<std::string_view, 7> kPreTokenizers = {
    "gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-coder", "starcoder", "deepseek-r1-qwen"};

// The plain loops take quadratic time; merges that go wrong do so in short texts, too.
constexpr size_t kMaxMergedBytes = 64;

// Compiling the patterns takes far longer than matching a short text.
const PreTokenizer& pre_tokenizer(size_t i) {
  static std::array<std::optional<PreTokenizer>, kPreTokenizers.size()> made;
  if (!made[i]) made[i] = PreTokenizer::create(kPreTokenizers[i]).value();
  return *made[i];
}

// ---- stop strings

struct StopAnswer {
  std::string text;
  std::optional<size_t> matched;
};

// The first stop string to end, the longest of those that end there, the first of equal ones.
StopAnswer plain_stop(const std::vector<std::string>& stops, std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<size_t> best;
    for (size_t i = 0; i < stops.size(); ++i) {
      if (!text.substr(0, end).ends_with(stops[i])) continue;
      if (!best || stops[i].size() > stops[*best].size()) best = i;
    }
    if (best) return {std::string(text.substr(0, end - stops[*best].size())), best};
  }
  return {std::string(text), std::nullopt};
}

// How many bytes at the end of `text` may still become part of a stop string.
size_t plain_held(const std::vector<std::string>& stops, std::string_view text) {
  size_t held = 0;
  for (const std::string& stop : stops) {
    for (size_t size = std::min(stop.size(), text.size()); size > held; --size) {
      if (text.ends_with(std::string_view(stop).substr(0, size))) held = size;
    }
  }
  return held;
}

// Stop strings are about overlaps, which need few letters: with 256 of them two strings hardly ever share an
// end.
std::string take_letters(ByteReader& in, bool few, size_t most) {
  std::string text(in.string(most));
  if (!few) return text;
  for (char& c : text) c = static_cast<char>('a' + (c & 1));
  return text;
}

void check_stops(ByteReader& in) {
  const bool few = in.flag();
  std::vector<std::string> stops;
  for (size_t n = in.below(5); n > 0; --n) stops.push_back(take_letters(in, few, 8));
  Result<StopMatcher> matcher = StopMatcher::create(stops);
  const bool well_formed = std::ranges::all_of(
      stops, [](const std::string& stop) { return !stop.empty() && is_valid_utf8(stop); });
  HEADRACE_CHECK(static_cast<bool>(matcher) == well_formed);
  if (!matcher) return;
  std::string pushed;
  std::string out;
  while (!in.empty()) {
    const std::string part = take_letters(in, few, 10);
    pushed += part;
    out += matcher->push(part);
    if (matcher->matched()) break;
    HEADRACE_CHECK(pushed.size() - out.size() == plain_held(stops, pushed));
  }
  const StopAnswer expected = plain_stop(stops, pushed);
  HEADRACE_CHECK(matcher->matched() == expected.matched);
  if (expected.matched) HEADRACE_CHECK(out == expected.text && matcher->push("more").empty());
  out += matcher->finish();
  HEADRACE_CHECK(out == expected.text);
}

// ---- words

void check_words(ByteReader& in) {
  const PreTokenizer& splitter = pre_tokenizer(in.below(kPreTokenizers.size()));
  const std::string text = to_valid_utf8(in.rest());
  size_t at = 0;
  for (const std::string_view word : splitter.split(text)) {
    HEADRACE_CHECK(word.data() == text.data() + at);
    HEADRACE_CHECK(!word.empty() || text.empty());
    HEADRACE_CHECK(is_valid_utf8(word));
    at += word.size();
  }
  HEADRACE_CHECK(at == text.size());
}

// ---- byte-pair encoding

// Joins the best pair of neighbours, the leftmost of equal ones, until none is left. rank(left, right) is
// negative for a pair that does not join.
template <typename Rank>
std::vector<std::string> plain_merge(std::vector<std::string> symbols, Rank rank) {
  for (;;) {
    size_t best = symbols.size();
    int best_rank = -1;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const int here = rank(symbols[i], symbols[i + 1]);
      if (here < 0 || (best_rank >= 0 && here >= best_rank)) continue;
      best = i;
      best_rank = here;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TokenId id_of(const SmallVocabulary& small, const std::string& spelling) {
  const auto found = std::ranges::find(small.spec.tokens, spelling);
  return found == small.spec.tokens.end() ? -1 : static_cast<TokenId>(found - small.spec.tokens.begin());
}

// The characters of the byte alphabet that spell `bytes`.
std::vector<std::string> spell(std::string_view bytes) {
  static const std::array<std::string, 256> alphabet = [] {
    std::array<std::string, 256> characters;
    for (const std::string& character : SmallVocabulary::byte_level().spec.tokens) {
      characters[static_cast<unsigned char>(bytes_of_spelling(character)->front())] = character;
    }
    return characters;
  }();
  std::vector<std::string> symbols;
  for (const char byte : bytes) symbols.push_back(alphabet[static_cast<unsigned char>(byte)]);
  return symbols;
}

void check_byte_level(ByteReader& in) {
  SmallVocabulary small = SmallVocabulary::byte_level();
  const size_t choice_of_words = in.below(kPreTokenizers.size());
  small.spec.pre_tokenizer = kPreTokenizers[choice_of_words];
  for (size_t n = in.below(16); n > 0; --n) {
    // Mostly tokens of ASCII and those made before, so that merges build upon each other.
    const auto choose = [&] {
      const size_t choice = in.byte();
      return small.spec.tokens[choice < 128 ? choice : small.spec.tokens.size() - 1 - (choice - 128)];
    };
    const std::string left = choose();
    const std::string right = choose();
    if (id_of(small, left + right) < 0) small.add_merge(left, right);
  }
  const std::vector<std::string> merges = small.spec.merges;
  const PreTokenizer& splitter = pre_tokenizer(choice_of_words);
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  const std::string text = to_valid_utf8(in.rest().substr(0, kMaxMergedBytes));

  Ids expected;
  for (const std::string_view word : splitter.split(text)) {
    std::vector<std::string> symbols = spell(word);
    std::string whole;
    for (const std::string& symbol : symbols) whole += symbol;
    const bool known = splitter.keeps_known_words() && id_of(small, whole) >= 0;
    symbols = known ? std::vector{whole}
                    : plain_merge(std::move(symbols), [&](const std::string& left, const std::string& right) {
                        const auto found = std::ranges::find(merges, left + " " + right);
                        return found == merges.end() ? -1 : static_cast<int>(found - merges.begin());
                      });
    for (const std::string& symbol : symbols) {
      if (!symbol.empty()) expected.push_back(id_of(small, symbol));
    }
  }
  const Ids ids = tokenizer.encode(text);
  HEADRACE_CHECK(ids == expected);
  HEADRACE_CHECK(tokenizer.decode(ids) == text);
}

void check_sentencepiece(ByteReader& in) {
  SmallVocabulary small = SmallVocabulary::sentencepiece();
  const bool prefix = in.flag();
  small.spec.space_prefix = prefix ? SpacePrefix::always : SpacePrefix::none;
  small.spec.strips_leading_space = prefix;
  const auto base = static_cast<TokenId>(small.spec.tokens.size());
  small.add(std::string(kSpaceMark));  // without it a space would decode as the bytes of its mark
  for (size_t n = in.below(24); n > 0; --n) {
    const int8_t score = in.number<int8_t>();
    std::string spelling = to_valid_utf8(in.string(5));
    std::ranges::replace(spelling, ' ', '_');
    if (spelling.starts_with('_')) spelling.replace(0, 1, kSpaceMark);
    if (spelling.empty() || id_of(small, spelling) >= 0) continue;
    small.spec.scores[static_cast<size_t>(small.add(std::move(spelling)))] = score;
  }
  const Tokenizer tokenizer = Tokenizer::create(small.spec).value();
  const std::string text = to_valid_utf8(in.rest().substr(0, kMaxMergedBytes));

  std::string marked;
  std::string unmarked = text;
  if (prefix && !text.empty()) marked += kSpaceMark;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked += c;
    }
  }
  std::vector<std::string> symbols;
  for (size_t at = 0; at < marked.size();) {
    const size_t size = decode_utf8(marked, at).size;
    symbols.push_back(marked.substr(at, size));
    at += size;
  }
  const auto rank = [&](const std::string& left, const std::string& right) {
    const TokenId id = id_of(small, left + right);
    return id < base ? -1 : 127 - static_cast<int>(small.spec.scores[static_cast<size_t>(id)]);
  };
  Ids expected;
  for (const std::string& symbol : plain_merge(std::move(symbols), rank)) {
    const TokenId id = id_of(small, symbol);
    if (id >= base) {
      expected.push_back(id);
    } else {
      for (const char byte : symbol) expected.push_back(3 + static_cast<unsigned char>(byte));
    }
  }
  const Ids ids = tokenizer.encode(text, {.special = false, .bos = false});
  HEADRACE_CHECK(ids == expected);
  for (size_t at = unmarked.find(kSpaceMark); at != std::string::npos; at = unmarked.find(kSpaceMark, at)) {
    unmarked.replace(at, kSpaceMark.size(), " ");
  }
  HEADRACE_CHECK(tokenizer.decode(ids) == unmarked);
}

// ---- streams of tokens

void check_stream(ByteReader& in) {
  SmallVocabulary small = in.flag() ? SmallVocabulary::byte_level() : SmallVocabulary::sentencepiece();
  small.add("<|end|>", TokenKind::control);
  small.add(std::string(in.string(8)) + "!", TokenKind::user_defined);
  const bool prefix = in.flag();
  small.spec.space_prefix = prefix ? SpacePrefix::always : SpacePrefix::none;
  small.spec.strips_leading_space = prefix;
  const bool skip_special = in.flag();
  const auto tokenizer = Tokenizer::create(small.spec);
  if (!tokenizer) return;  // the string spells another token
  StreamDetokenizer stream(*tokenizer, {.at_sequence_start = true, .skip_special = skip_special});
  Ids ids;
  std::string streamed;
  while (!in.empty()) {
    // One more than there are tokens: an id out of range is no text.
    ids.push_back(static_cast<TokenId>(in.number<uint16_t>() % (tokenizer->vocab_size() + 1)));
    const std::string text = stream.push(ids.back());
    HEADRACE_CHECK(is_valid_utf8(text));
    streamed += text;
  }
  streamed += stream.finish();
  HEADRACE_CHECK(streamed == tokenizer->decode(ids, skip_special));
  HEADRACE_CHECK(stream.finish().empty());
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  constexpr std::array kChecks = {check_stops, check_words, check_byte_level, check_sentencepiece,
                                  check_stream};
  ByteReader in(data, size);
  kChecks[in.below(kChecks.size())](in);
  return 0;
}
