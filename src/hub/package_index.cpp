#include "hub/package_index.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/file.h"
#include "hub/html_links.h"
#include "hub/package_name.h"

namespace headrace {
namespace {

constexpr uint64_t kMaxPageBytes = uint64_t{32} << 20;
constexpr std::string_view kJsonType = "application/vnd.pypi.simple.v1+json";
constexpr std::string_view kAccept =
    "Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";
constexpr std::string_view kShaFragment = "sha256=";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::vector<IndexFile> parse_html(const Page& page) {
  const HtmlLinks links = html_links(page.text);
  Url base = page.address;
  if (!links.base.empty()) {
    if (Result<Url> named = base.resolve(links.base)) base = std::move(named).value();
  }
  std::vector<IndexFile> files;
  for (const std::string& href : links.hrefs) {
    Result<Url> url = base.resolve(href);
    if (!url) continue;
    std::string name = url->file_name();
    const std::string& fragment = url->fragment();
    std::string sha256 =
        fragment.starts_with(kShaFragment) ? lower(fragment.substr(kShaFragment.size())) : "";
    files.push_back({std::move(name), std::move(*url), std::move(sha256)});
  }
  return files;
}

Result<std::vector<IndexFile>> parse_json(const Page& page) {
  using Json = nlohmann::json;
  const Json document = Json::parse(page.text, nullptr, /*allow_exceptions=*/false);
  const auto text_at = [](const Json& object, const char* key) -> std::optional<std::string> {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (found == object.end() || !found->is_string()) return std::nullopt;
    return found->template get<std::string>();
  };
  if (!document.is_object() || !document.contains("files") || !document["files"].is_array()) {
    return make_error(Errc::network, "{}: expected a JSON object with a list \"files\"",
                      page.address.display());
  }
  std::vector<IndexFile> files;
  for (const Json& file : document["files"]) {
    std::optional<std::string> name = text_at(file, "filename");
    const std::optional<std::string> href = text_at(file, "url");
    if (!name || !href) continue;
    Result<Url> url = page.address.resolve(*href);
    if (!url) continue;
    const auto hashes = file.find("hashes");
    const std::string sha256 = hashes == file.end() ? "" : lower(text_at(*hashes, "sha256").value_or(""));
    files.push_back({std::move(*name), std::move(*url), sha256});
  }
  return files;
}

bool is_wheel_of(const IndexFile& file, const WheelSource& wheel) {
  const std::optional<WheelName> name = parse_wheel_name(file.name);
  return name && name->package == normalise_package(wheel.package) && name->version == wheel.version;
}

// The wheel on one page: the pinned checksum decides; a file without one is checked after its download.
Result<Url> choose(const std::vector<IndexFile>& files, const WheelSource& wheel, const Url& page) {
  const IndexFile* without_checksum = nullptr;
  const IndexFile* with_another = nullptr;
  for (const IndexFile& file : files) {
    if (!is_wheel_of(file, wheel)) continue;
    if (file.sha256 == wheel.sha256) return file.url;
    (file.sha256.empty() ? without_checksum : with_another) = &file;
  }
  if (without_checksum != nullptr) return without_checksum->url;
  if (with_another != nullptr) {
    return make_error(Errc::not_found, "{}: {} has the SHA-256 {}, expected {}", page.display(),
                      printable(with_another->name), printable(with_another->sha256), wheel.sha256);
  }
  return make_error(Errc::not_found, "{}: has no wheel of version {}", page.display(), wheel.version);
}

Result<Url> find_in_index(HttpSession& session, const Url& index, const WheelSource& wheel,
                          const std::atomic<bool>* cancel) {
  HEADRACE_TRY(const Url address, index.folder(normalise_package(wheel.package)));
  HEADRACE_TRY(const Page page, fetch_page(session, address, {std::string(kAccept)}, kMaxPageBytes, cancel));
  HEADRACE_TRY(const std::vector<IndexFile> files, parse_project_page(page));
  return choose(files, wheel, address);
}

}  // namespace

Result<std::vector<IndexFile>> parse_project_page(const Page& page) {
  const std::string type = lower(std::string_view(page.content_type).substr(0, page.content_type.find(';')));
  if (type.starts_with(kJsonType)) return parse_json(page);
  return parse_html(page);
}

Result<Url> find_wheel(HttpSession& session, const std::vector<Url>& indexes, const WheelSource& wheel,
                       const std::atomic<bool>* cancel) {
  if (indexes.empty()) {
    return make_error(Errc::not_found, "pip is configured to use no package index (no-index)");
  }
  std::string problems;
  Errc code = Errc::not_found;
  for (const Url& index : indexes) {
    Result<Url> found = find_in_index(session, index, wheel, cancel);
    if (found || found.error().code == Errc::cancelled) return found;
    if (found.error().code != Errc::not_found) code = found.error().code;
    problems += (problems.empty() ? "" : "; ") + found.error().message;
  }
  return Error{code, problems};
}

}  // namespace headrace
