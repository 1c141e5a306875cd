#include "hub/html_links.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "core/utf8.h"

namespace headrace {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f";
constexpr size_t kMaxReferenceBytes = 10;

bool is_space(char c) {
  return kSpace.find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// The character that "amp", "#39" or "#x2f" stands for.
std::optional<uint32_t> character(std::string_view reference) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kNames = {
      {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
  for (const auto& [name, value] : kNames) {
    if (reference == name) return static_cast<uint32_t>(value);
  }
  if (!reference.starts_with('#')) return std::nullopt;
  reference.remove_prefix(1);
  const bool hexadecimal = reference.starts_with('x') || reference.starts_with('X');
  if (hexadecimal) reference.remove_prefix(1);
  uint32_t value = 0;
  const char* end = reference.data() + reference.size();
  const auto [at, code] = std::from_chars(reference.data(), end, value, hexadecimal ? 16 : 10);
  if (code != std::errc() || at != end) return std::nullopt;
  return value;
}

std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end =
        text.front() == '&' ? text.substr(0, kMaxReferenceBytes).find(';') : std::string_view::npos;
    const std::optional<uint32_t> value =
        end == std::string_view::npos ? std::nullopt : character(text.substr(1, end - 1));
    if (value) {
      append_utf8(out, *value);
      text.remove_prefix(end + 1);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

// Reads one tag after its "<" and name; leaves `text` behind its ">".
std::optional<std::string> href_of_tag(std::string_view& text) {
  std::optional<std::string> href;
  const auto take_until = [&](auto stops) {
    const auto end = std::find_if(text.begin(), text.end(), stops);
    const std::string_view taken = text.substr(0, static_cast<size_t>(end - text.begin()));
    text.remove_prefix(taken.size());
    return taken;
  };
  const auto skip_space = [&] { take_until([](char c) { return !is_space(c); }); };
  while (true) {
    skip_space();
    if (text.empty()) return href;
    if (text.front() == '>') {
      text.remove_prefix(1);
      return href;
    }
    const std::string name = lower(take_until([](char c) { return is_space(c) || c == '=' || c == '>'; }));
    skip_space();
    if (!text.starts_with('=')) continue;
    text.remove_prefix(1);
    skip_space();
    std::string_view value;
    if (text.starts_with('"') || text.starts_with('\'')) {
      const char quote = text.front();
      text.remove_prefix(1);
      value = take_until([quote](char c) { return c == quote; });
      text.remove_prefix(text.empty() ? 0 : 1);
    } else {
      value = take_until([](char c) { return is_space(c) || c == '>'; });
    }
    if (name == "href" && !href) href = unescape(value);
  }
}

}  // namespace

HtmlLinks html_links(std::string_view html) {
  HtmlLinks links;
  while (true) {
    html.remove_prefix(std::min(html.find('<'), html.size()));
    if (html.empty()) return links;
    html.remove_prefix(1);
    if (html.starts_with("!--")) {
      const size_t end = html.find("-->");
      html.remove_prefix(end == std::string_view::npos ? html.size() : end);
      continue;
    }
    const size_t end = std::min(html.find_first_of(" \t\r\n\f>/"), html.size());
    const std::string tag = lower(html.substr(0, end));
    if (tag != "a" && tag != "base") continue;
    html.remove_prefix(end);
    std::optional<std::string> href = href_of_tag(html);
    if (!href) continue;
    if (tag == "a") {
      links.hrefs.push_back(std::move(*href));
    } else if (links.base.empty()) {
      links.base = std::move(*href);
    }
  }
}

}  // namespace headrace
