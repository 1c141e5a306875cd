#include "hub/url.h"

#include <curl/curl.h>

#include <memory>

#include "core/file.h"

namespace headrace {
namespace {

constexpr size_t kMaxUrlBytes = 16384;

struct FreeHandle {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeHandle>;

std::string part_of(CURLU* handle, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  std::string value;
  if (curl_url_get(handle, part, &text, flags) == CURLUE_OK && text != nullptr) value = text;
  curl_free(text);
  return value;
}

Status set_url(CURLU* handle, std::string_view text) {
  const bool fits = text.size() <= kMaxUrlBytes && text.find('\0') == std::string_view::npos;
  if (!fits || curl_url_set(handle, CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK) {
    return make_error(Errc::usage, "not a valid http(s) address");
  }
  return {};
}

}  // namespace

Result<Url> Url::from_handle(void* curl_url) {
  CURLU* handle = static_cast<CURLU*>(curl_url);
  Url url;
  url.scheme_ = part_of(handle, CURLUPART_SCHEME, 0);
  if (url.scheme_ != "http" && url.scheme_ != "https") {
    return make_error(Errc::usage, "the address has the scheme '{}', expected http or https",
                      printable(url.scheme_));
  }
  url.host_ = part_of(handle, CURLUPART_HOST, 0);
  url.port_ = part_of(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.path_ = part_of(handle, CURLUPART_PATH, 0);
  url.user_ = part_of(handle, CURLUPART_USER, CURLU_URLDECODE);
  url.password_ = part_of(handle, CURLUPART_PASSWORD, CURLU_URLDECODE);
  url.fragment_ = part_of(handle, CURLUPART_FRAGMENT, 0);
  const std::string decoded = part_of(handle, CURLUPART_PATH, CURLU_URLDECODE);
  url.file_name_ = decoded.substr(decoded.rfind('/') + 1);
  for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT}) {
    curl_url_set(handle, part, nullptr, 0);
  }
  url.address_ = part_of(handle, CURLUPART_URL, 0);
  if (url.host_.empty() || url.address_.empty()) {
    return make_error(Errc::usage, "not a valid http(s) address");
  }
  return url;
}

Result<Url> Url::parse(std::string_view text) {
  const Handle handle(curl_url());
  HEADRACE_CHECK(handle != nullptr);
  HEADRACE_RETURN_IF_ERROR(set_url(handle.get(), text));
  return from_handle(handle.get());
}

Result<Url> Url::resolve(std::string_view reference) const {
  const Handle handle(curl_url());
  HEADRACE_CHECK(handle != nullptr);
  HEADRACE_RETURN_IF_ERROR(set_url(handle.get(), address_));
  HEADRACE_RETURN_IF_ERROR(set_url(handle.get(), reference));
  HEADRACE_TRY(Url url, from_handle(handle.get()));
  if (url.user_.empty() && url.password_.empty() && same_origin(url)) {
    url.user_ = user_;
    url.password_ = password_;
  }
  return url;
}

Result<Url> Url::folder(std::string_view name) const {
  return resolve(fmt::format("{}{}{}/", path_, path_.ends_with('/') ? "" : "/", name));
}

bool Url::same_origin(const Url& other) const {
  return scheme_ == other.scheme_ && host_ == other.host_ && port_ == other.port_;
}

std::string Url::display() const {
  const bool default_port = port_ == (is_https() ? "443" : "80");
  return printable(fmt::format("{}://{}{}{}", scheme_, host_, default_port ? "" : ":" + port_, path_),
                   kMaxUrlBytes);
}

}  // namespace headrace
