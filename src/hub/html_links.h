// The links of an HTML page: as much of HTML as a package index uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headrace {

struct HtmlLinks {
  std::string base;                // href of <base>, or empty
  std::vector<std::string> hrefs;  // of every <a>, in order, character references replaced
};

/// Takes any bytes; what it cannot make sense of it passes over.
HtmlLinks html_links(std::string_view html);

}  // namespace headrace
