#include "hub/package_name.h"

#include <algorithm>

namespace headrace {
namespace {

constexpr std::string_view kWheelSuffix = ".whl";

}  // namespace

std::string normalise_package(std::string_view name) {
  std::string normal;
  bool in_run = false;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (!separator) {
      normal += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!in_run) {
      normal += '-';
    }
    in_run = separator;
  }
  return normal;
}

std::optional<WheelName> parse_wheel_name(std::string_view file_name) {
  if (!file_name.ends_with(kWheelSuffix)) return std::nullopt;
  const std::string_view stem = file_name.substr(0, file_name.size() - kWheelSuffix.size());
  const auto dashes = std::count(stem.begin(), stem.end(), '-');
  if (dashes != 4 && dashes != 5) return std::nullopt;
  const size_t first = stem.find('-');
  const size_t second = stem.find('-', first + 1);
  return WheelName{normalise_package(stem.substr(0, first)),
                   std::string(stem.substr(first + 1, second - first - 1))};
}

}  // namespace headrace
