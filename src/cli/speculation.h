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
  uint32_t branches = 1;
  bool fixed = false;
  std::string draft_model;  // as ModelFlags::model
  DraftRule rule = DraftRule::coupled;
  // Of verbs that run batches:
  std::string schedule = "ragged";
  uint32_t window = 48;  // sequences that exspec chooses from

  bool any() const { return type != "none" || !draft_model.empty(); }
};
/// "none", "auto", "ngram", "model", "self:skip=T" with T from 2 to 64.
bool is_spec_type(std::string_view type);
void add_speculation_flags(CLI::App& app, SpeculationFlags& flags);
/// "ragged", "exspec", "eqspec".
bool is_schedule(std::string_view name);
void add_window_flag(CLI::App& app, SpeculationFlags& flags);

/// Fails with usage where flags contradict each other, and as opening a model does.
Result<SpeculationOptions> speculation_of(const SpeculationFlags& flags);

}  // namespace headrace::cli
