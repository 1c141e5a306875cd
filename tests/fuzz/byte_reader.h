// Turns the bytes of a fuzzer into choices. Every input means something, and a small change of the bytes is a
// small change of what they mean.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace headrace::testing {

class ByteReader {
 public:
  ByteReader(const uint8_t* data, size_t size) : text_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return text_.empty(); }

  /// The next byte; 0 at the end.
  uint8_t byte() {
    if (text_.empty()) return 0;
    const auto value = static_cast<uint8_t>(text_.front());
    text_.remove_prefix(1);
    return value;
  }
  bool flag() { return (byte() & 1) != 0; }
  /// 0 to n - 1, for n up to 256.
  size_t below(size_t n) { return byte() % n; }
  template <typename T>
  const T& pick(std::span<const T> choices) {
    return choices[below(choices.size())];
  }

  /// A number as it is stored; the missing bytes of a short input are 0.
  template <typename T>
  T number() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  /// A string of at most `most` bytes (up to 255), its length first.
  std::string_view string(size_t most) { return take(below(most + 1)); }
  std::string_view rest() { return take(text_.size()); }

 private:
  std::string_view take(size_t size) {
    const std::string_view taken = text_.substr(0, size);
    text_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view text_;
};

}  // namespace headrace::testing
