#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"

namespace headrace {
namespace {

uint64_t edge(uint32_t node, char byte) {
  return uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

Result<StopMatcher> StopMatcher::create(const std::vector<std::string>& stops) {
  StopMatcher matcher;
  size_t bytes = 0;
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) return make_error(Errc::usage, "stop string {} is empty", i);
    if (!is_valid_utf8(stops[i])) return make_error(Errc::usage, "stop string {} is not UTF-8", i);
    bytes += stops[i].size();
    if (bytes > kMaxStopBytes) {
      return make_error(Errc::usage, "the stop strings have more than {} bytes together", kMaxStopBytes);
    }
    matcher.add(stops[i], i);
  }
  matcher.link();
  return matcher;
}

void StopMatcher::add(std::string_view stop, size_t index) {
  uint32_t node = 0;
  for (const char byte : stop) {
    const auto [next, fresh] = edges_.try_emplace(edge(node, byte), static_cast<uint32_t>(nodes_.size()));
    if (fresh) nodes_.push_back({nodes_[node].depth + 1, 0, std::nullopt});
    node = next->second;
  }
  if (!nodes_[node].stop) nodes_[node].stop = index;
  stop_bytes_.push_back(stop.size());
}

void StopMatcher::link() {
  std::vector<std::pair<uint64_t, uint32_t>> edges(edges_.begin(), edges_.end());
  // A fallback is shorter than its node, so the shorter nodes go first.
  std::ranges::sort(edges, {}, [&](const auto& e) { return nodes_[e.second].depth; });
  for (const auto& [from, to] : edges) {
    const auto parent = static_cast<uint32_t>(from >> 8);
    Node& node = nodes_[to];
    if (parent != 0) node.fallback = step(nodes_[parent].fallback, static_cast<char>(from & 0xFF));
    if (!node.stop) node.stop = nodes_[node.fallback].stop;
  }
}

std::optional<uint32_t> StopMatcher::child(uint32_t node, char byte) const {
  const auto next = edges_.find(edge(node, byte));
  if (next == edges_.end()) return std::nullopt;
  return next->second;
}

uint32_t StopMatcher::step(uint32_t node, char byte) const {
  for (;;) {
    if (const std::optional<uint32_t> next = child(node, byte)) return *next;
    if (node == 0) return 0;
    node = nodes_[node].fallback;
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  for (size_t i = 0; i < text.size(); ++i) {
    node_ = step(node_, text[i]);
    matched_ = nodes_[node_].stop;
    if (!matched_) continue;
    held_ += text.substr(0, i + 1);
    held_.resize(held_.size() - stop_bytes_[*matched_]);
    return std::exchange(held_, {});
  }
  held_ += text;
  const size_t safe = held_.size() - nodes_[node_].depth;
  std::string out = held_.substr(0, safe);
  held_.erase(0, safe);
  return out;
}

std::string StopMatcher::finish() {
  node_ = 0;
  return std::exchange(held_, {});
}

}  // namespace headrace
