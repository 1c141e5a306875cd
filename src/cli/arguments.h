// What happens to arguments and environment before CLI11 reads them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace headrace::cli {

/// argv without the program's name, with llama.cpp's letters of more than one character (-ctk) replaced by
/// their long names, which CLI11 can read. A value that is spelled exactly like one of them has to be given
/// as --name=value.
std::vector<std::string> translate_arguments(int argc, const char* const* argv);

/// The first argument that looks like a flag of several letters behind one dash (-ngl): CLI11 would read it
/// as a flag of one letter with a value.
std::optional<std::string> unknown_flag(const std::vector<std::string>& arguments);

/// Lets HEADRACE_<LONG_NAME> give a value to each option of the verb in `arguments`; a flag wins over the
/// environment. -p and -f exclude each other, so either of them hides the variables of both.
void name_environment(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace headrace::cli
