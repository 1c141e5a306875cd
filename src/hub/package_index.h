// The Python package index: which file is the wheel of a package's version (PEP 503 pages and PEP 691 JSON).
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "hub/http.h"
#include "hub/registry.h"
#include "hub/url.h"

namespace headrace {

struct IndexFile {
  std::string name;
  Url url;
  std::string sha256;  // lower case; empty if the index does not say
};

/// The files that a project's page lists. Entries that make no sense (no http(s) address) are passed over, as
/// an index may list more than we know of; a page that is not JSON although it says so fails with network.
Result<std::vector<IndexFile>> parse_project_page(const Page& page);

/// The address of the pinned wheel, from the first index that has it. A file of that version whose checksum
/// in the index is not the pinned one is not taken. Fails with not_found, network or cancelled.
Result<Url> find_wheel(HttpSession& session, const std::vector<Url>& indexes, const WheelSource& wheel,
                       const std::atomic<bool>* cancel);

}  // namespace headrace
