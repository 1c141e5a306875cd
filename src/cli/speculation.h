// Flags for drafts: which drafter, how long its drafts may be.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "core/result.h"
#include "engine/engine.h"

namespace headrace::cli {

struct SpeculationFlags {
  std::string type = "none";
  uint32_t most = 8;
  bool fixed = false;
};
void add_speculation_flags(CLI::App& app, SpeculationFlags& flags);

SpeculationOptions speculation_of(const SpeculationFlags& flags);

}  // namespace headrace::cli
