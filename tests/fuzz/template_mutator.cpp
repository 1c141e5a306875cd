// Changes templates by their parts: a tag, an expression, a stretch between brackets, a word, a number. Half
// of the changes are libFuzzer's own (with the words of template.dict).
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size,
                                            uint8_t* out, size_t max_size, unsigned seed);

namespace {

using Random = std::minstd_rand;

// Where templates meet limits: of Python's integers, of range(), of loops and values that nest.
constexpr std::array<std::string_view, 12> kNumbers = {
    "0",    "1", "2", "(-1)", "31", "401", "99999", "100000", "1000001", "4294967296", "9223372036854775807",
    "1e308"};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

struct Part {
  size_t begin;
  size_t size;
};

// Words, and everything from an opening bracket to the one that closes it.
std::vector<Part> parts_of(std::string_view text) {
  std::vector<Part> parts;
  std::vector<size_t> open;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (is_word(c)) {
      const size_t begin = at;
      while (at + 1 < text.size() && is_word(text[at + 1])) ++at;
      parts.push_back({begin, at + 1 - begin});
    } else if (c == '(' || c == '[' || c == '{') {
      open.push_back(at);
    } else if ((c == ')' || c == ']' || c == '}') && !open.empty()) {
      parts.push_back({open.back(), at + 1 - open.back()});
      open.pop_back();
    }
  }
  return parts;
}

std::string text_of(std::string_view text, Part part) {
  return std::string(text.substr(part.begin, part.size));
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  std::string text(reinterpret_cast<const char*>(data), size);
  const std::vector<Part> parts = parts_of(text);
  const size_t action = random() % 10;
  if (parts.empty() || action >= 5) return LLVMFuzzerMutate(data, size, max_size);
  const Part part = parts[random() % parts.size()];
  const Part other = parts[random() % parts.size()];
  switch (action) {
    case 0:
      text.erase(part.begin, part.size);
      break;
    case 1:
      text.insert(other.begin, text_of(text, part));
      break;
    case 2:
      text.replace(part.begin, part.size, text_of(text, other));
      break;
    case 3:  // around itself
      text.insert(part.begin + 1, text_of(text, part));
      break;
    default: {
      std::vector<Part> numbers;
      std::ranges::copy_if(parts, std::back_inserter(numbers),
                           [&](Part p) { return text[p.begin] >= '0' && text[p.begin] <= '9'; });
      if (numbers.empty()) return LLVMFuzzerMutate(data, size, max_size);
      const Part number = numbers[random() % numbers.size()];
      text.replace(number.begin, number.size, kNumbers[random() % kNumbers.size()]);
      break;
    }
  }
  if (text.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

// A part of one template in the place of a part of another.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size,
                                            uint8_t* out, size_t max_size, unsigned seed) {
  Random random(seed);
  std::string text(reinterpret_cast<const char*>(a), a_size);
  const std::string_view donor(reinterpret_cast<const char*>(b), b_size);
  const std::vector<Part> places = parts_of(text);
  const std::vector<Part> gifts = parts_of(donor);
  if (!places.empty() && !gifts.empty()) {
    const Part place = places[random() % places.size()];
    text.replace(place.begin, place.size, text_of(donor, gifts[random() % gifts.size()]));
  }
  text.resize(std::min(text.size(), max_size));
  std::memcpy(out, text.data(), text.size());
  return text.size();
}
