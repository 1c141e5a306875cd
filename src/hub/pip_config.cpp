#include "hub/pip_config.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/file.h"

namespace headrace {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr std::string_view kSpace = " \t\r\n\f\v";
// A later section overrides an earlier one, whatever files they stand in.
constexpr std::array<std::string_view, 3> kSections = {"global", "install", "download"};

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(separators, at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// "--Index_URL" and "index-url" are the same key.
std::string normalise_key(std::string_view key) {
  std::string normal = lower(key);
  std::replace(normal.begin(), normal.end(), '_', '-');
  return normal.starts_with("--") ? normal.substr(2) : normal;
}

using Settings = std::map<std::pair<std::string, std::string>, std::string>;  // (section, key) -> value

// The dialect of Python's configparser that pip's files are written in: comments own their line, and an
// indented line continues the value above it. Lines of no known form are passed over: they are pip's to
// complain about.
void read_ini(std::string_view text, Settings& settings) {
  std::string section;
  std::string* value = nullptr;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    const bool indented = line.front() == ' ' || line.front() == '\t';
    if (indented && value != nullptr) {
      *value += '\n';
      *value += content;
    } else if (content.front() == '[' && content.back() == ']') {
      section = content.substr(1, content.size() - 2);
      value = nullptr;
    } else if (const size_t sign = content.find_first_of("=:"); sign != std::string_view::npos) {
      value = &settings[{section, normalise_key(trim(content.substr(0, sign)))}];
      *value = trim(content.substr(sign + 1));
    }
  }
}

// From the farthest to the nearest.
std::vector<std::filesystem::path> config_files(const Environment& environment,
                                                const std::filesystem::path& root) {
  const std::optional<std::string> chosen = environment("PIP_CONFIG_FILE");
  if (chosen == "/dev/null") return {};  // pip's way to say: no file at all
  std::vector<std::filesystem::path> files;
  const std::string shared = environment("XDG_CONFIG_DIRS").value_or((root / "etc/xdg").string());
  std::vector<std::string_view> folders = split(shared, ":");
  std::reverse(folders.begin(), folders.end());
  for (const std::string_view folder : folders)
    files.push_back(std::filesystem::path(folder) / "pip/pip.conf");
  files.push_back(root / "etc/pip.conf");
  const std::optional<std::string> home = environment("HOME");
  if (home) files.push_back(std::filesystem::path(*home) / ".pip/pip.conf");
  if (const std::optional<std::string> config = environment("XDG_CONFIG_HOME")) {
    files.push_back(std::filesystem::path(*config) / "pip/pip.conf");
  } else if (home) {
    files.push_back(std::filesystem::path(*home) / ".config/pip/pip.conf");
  }
  if (chosen) files.push_back(*chosen);
  return files;
}

class Lookup {
 public:
  Lookup(const Environment& environment, Settings settings)
      : environment_(environment), settings_(std::move(settings)) {}

  std::optional<std::string> get(const char* variable, const char* key) const {
    std::optional<std::string> value = environment_(variable);
    for (auto section = kSections.rbegin(); !value && section != kSections.rend(); ++section) {
      const auto found = settings_.find({std::string(*section), key});
      if (found != settings_.end()) value = found->second;
    }
    return value;
  }

 private:
  const Environment& environment_;
  Settings settings_;
};

Status add_indexes(std::string_view addresses, const char* setting, std::vector<Url>& indexes) {
  for (const std::string_view address : split(addresses, kSpace)) {
    Result<Url> url = Url::parse(address);
    if (!url) return std::move(url).error().in(fmt::format("pip's setting {}", setting));
    indexes.push_back(std::move(*url));
  }
  return {};
}

}  // namespace

Result<PipConfig> read_pip_config(const Environment& environment, const std::filesystem::path& root) {
  Settings settings;
  for (const std::filesystem::path& file : config_files(environment, root)) {
    // pip, too, takes a file that it cannot read for a missing one.
    if (const Result<std::string> text = read_text(file, kMaxConfigBytes)) read_ini(text.value(), settings);
  }
  const Lookup lookup(environment, std::move(settings));

  PipConfig config;
  const std::string no_index = lower(lookup.get("PIP_NO_INDEX", "no-index").value_or("false"));
  if (no_index == "false" || no_index == "0" || no_index == "no" || no_index == "off") {
    HEADRACE_RETURN_IF_ERROR(add_indexes(lookup.get("PIP_INDEX_URL", "index-url").value_or(kDefaultIndexUrl),
                                         "index-url", config.indexes));
    HEADRACE_RETURN_IF_ERROR(add_indexes(lookup.get("PIP_EXTRA_INDEX_URL", "extra-index-url").value_or(""),
                                         "extra-index-url", config.indexes));
  }
  std::optional<std::string> certificates = lookup.get("PIP_CERT", "cert");
  for (const char* variable : {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (!certificates) certificates = environment(variable);
  }
  config.ca_bundle = certificates.value_or("");
  return config;
}

}  // namespace headrace
