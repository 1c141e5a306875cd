// What verify found, for people and for machines.
#pragma once

#include <string>

#include "cli/output.h"
#include "exactness/exactness.h"

namespace headrace::cli {

std::string verify_text(const ExactnessReport& report);
Json verify_json(const ExactnessReport& report);

}  // namespace headrace::cli
