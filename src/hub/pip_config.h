// Where this system fetches Python packages from: what pip's variables and configuration files say.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/result.h"
#include "hub/environment.h"
#include "hub/url.h"

namespace headrace {

inline constexpr const char* kDefaultIndexUrl = "https://pypi.org/simple/";

struct PipConfig {
  std::vector<Url> indexes;         // index-url, then extra-index-url; empty if pip is told to use no index
  std::filesystem::path ca_bundle;  // certificates to trust; empty: the system's
};

/// Reads PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_NO_INDEX, PIP_CERT and the keys index-url, extra-index-url,
/// no-index, cert of the sections [download], [install], [global] of pip.conf below /etc, /etc/xdg/pip (or
/// $XDG_CONFIG_DIRS), ~/.pip, ~/.config/pip and of $PIP_CONFIG_FILE. Precedence is pip's: a variable, then
/// the section, then the file nearest to the user. Other ways to name certificates: $REQUESTS_CA_BUNDLE,
/// $CURL_CA_BUNDLE, $SSL_CERT_FILE. Host trust without verification (trusted-host), find-links and netrc are
/// not honoured. Fails with usage if an index is not an http(s) address; the message names the setting, not
/// its value. `root` stands in front of /etc.
Result<PipConfig> read_pip_config(const Environment& environment, const std::filesystem::path& root = "/");

}  // namespace headrace
