#include "formats/json_text.h"

#include <set>
#include <vector>

#include "core/file.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

// Watches nlohmann's parser go by, since it takes the last of equal keys and any depth.
class Watch {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (!refusal_.empty()) return false;
    if (static_cast<size_t>(depth) > kMaxJsonDepth) {
      refusal_ = fmt::format("nested deeper than {} levels", kMaxJsonDepth);
      return false;
    }
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second)
        refusal_ = fmt::format("the key \"{}\" stands twice", printable(key));
    }
    return refusal_.empty();
  }
  const std::string& refusal() const { return refusal_; }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
  std::string refusal_;
};

}  // namespace

Result<Json> parse_json_object(std::string_view name, std::string_view text) {
  Watch watch;
  Json json;
  try {
    json = Json::parse(text.begin(), text.end(), [&](int depth, Json::parse_event_t event, Json& parsed) {
      return watch(depth, event, parsed);
    });
  } catch (const Json::parse_error& error) {
    return make_error(Errc::bad_model, "{}: not valid JSON at byte {}", name, error.byte);
  } catch (const Json::exception& error) {  // a number beyond any type
    return make_error(Errc::bad_model, "{}: {}", name, printable(error.what(), 300));
  }
  if (!watch.refusal().empty()) return make_error(Errc::bad_model, "{}: {}", name, watch.refusal());
  if (!json.is_object())
    return make_error(Errc::bad_model, "{}: expected a JSON object, found {}", name, describe(json));
  return json;
}

std::string describe(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  if (value.is_string())
    return fmt::format("the string \"{}\"", printable(value.get_ref<const std::string&>()));
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  return "the number " + value.dump();
}

}  // namespace headrace
