#include "cli/json_limits.h"

#include <vector>

#include "core/file.h"

namespace headrace::cli {

using Json = nlohmann::ordered_json;

// The parser can be left from inside only by an exception, and must be: what lies beyond a limit costs memory
// and time even if it is thrown away.
Result<Json> parse_json_within_limits(std::string_view text, std::string_view name) {
  std::vector<size_t> keys;  // of the objects that are open, by depth
  const auto within_limits = [&](int depth, Json::parse_event_t event, const Json&) {
    const auto level = static_cast<size_t>(depth);
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= kMaxJsonLevels) {
        throw make_error(Errc::out_of_budget, "{}: nested deeper than the limit of {} levels", name,
                         kMaxJsonLevels);
      }
      keys.resize(level + 2);
      keys[level + 1] = 0;
    } else if (event == Json::parse_event_t::key && ++keys[level] > kMaxJsonKeys) {
      throw make_error(Errc::out_of_budget, "{}: an object has more keys than the limit of {}", name,
                       kMaxJsonKeys);
    }
    return true;
  };
  try {
    return Json::parse(text, within_limits);
  } catch (const Error& limit) {
    return limit;
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::string_view message = error.what();
    const size_t end = message.find("] ");
    return make_error(Errc::usage, "{}: not JSON: {}", name,
                      printable(message.substr(end == std::string_view::npos ? 0 : end + 2), 300));
  }
}

}  // namespace headrace::cli
