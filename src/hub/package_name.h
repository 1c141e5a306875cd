// Names of Python packages and of their wheel files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headrace {

/// The one spelling that the index uses: lower case, every run of "-", "_" and "." a single "-" (PEP 503).
std::string normalise_package(std::string_view name);

struct WheelName {
  std::string package;  // normalised
  std::string version;
};

/// Takes "name-version[-build]-python-abi-platform.whl" apart (PEP 427); nothing if it is not of that form.
std::optional<WheelName> parse_wheel_name(std::string_view file_name);

}  // namespace headrace
