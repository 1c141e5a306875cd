// The verbs and flags of the program as plain data, taken from the table that also parses the command line:
// what completion scripts and the man page are written from.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace headrace::cli {

struct FlagEntry {
  std::vector<std::string> names;  // "-m", "--model"; empty for an argument without a dash
  std::string value;               // "N", "FILE", "f32|f16|bf16"; empty for a switch
  std::string help;
  std::string group;
  bool required = false;
  bool repeatable = false;

  bool takes_file() const;
  bool takes_model() const;
  /// All values that there are, or none if they can't be listed.
  std::vector<std::string> choices() const;
};

struct VerbEntry {
  std::string name;
  std::string help;
  std::string footer;
  std::vector<FlagEntry> flags;
};

struct ProgramTable {
  std::string help;
  std::string footer;
  std::vector<FlagEntry> flags;
  std::vector<VerbEntry> verbs;
  std::vector<std::string> models;  // short names
};

ProgramTable table_of(const CLI::App& app);

/// Completion scripts.
std::string bash_completion(const ProgramTable& table);
std::string zsh_completion(const ProgramTable& table);
std::string fish_completion(const ProgramTable& table);

/// A page for man(1), in the macros of man(7).
std::string man_page(const ProgramTable& table, const std::string& version);

}  // namespace headrace::cli
