// Numbers and sizes as a user types them.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace headrace::cli {

/// The whole of `text` as a number: no spaces, no overflow. Floats may be "inf" or "nan".
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "4096", "512M", "1.5GiB": bytes, with the suffixes K, M, G, T for powers of 1024.
std::optional<uint64_t> parse_bytes(std::string_view text);

/// "15043+1", "15043-0.5", "15043-inf": a token id and what is added to its logit.
std::optional<std::pair<int32_t, float>> parse_logit_bias(std::string_view text);

/// `text` with \n, \r, \t, \\, \', \" and \xNN replaced by what they mean; other backslashes stay.
std::string unescape(std::string_view text);

}  // namespace headrace::cli
