// Runs the headrace program as a user does, in an environment of its own.
#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tiny_model.h"

namespace headrace::testing {

struct Outcome {
  int exit_code = -1;  // 128 + the signal's number if a signal ended the program
  std::string out;
  std::string err;
};

struct Surroundings {
  std::map<std::string, std::string> environment = {};  // besides PATH and HOME
  std::string input = {};                               // standard input
  std::string stdout_path = {};                         // standard output goes there and is not read
  bool reader_gone = false;                             // standard output is a pipe that nobody reads
  /// If set: `signal` is sent once this is true of what the program has written so far.
  std::function<bool(const std::string& out, const std::string& err)> interrupt_when = {};
  int signal = SIGINT;
  /// If set: no file that the program writes grows beyond so many bytes, as on a full disk.
  std::optional<uint64_t> file_bytes = {};
};

/// Runs `headrace arguments...`; a program that is not done after a minute is killed.
Outcome headrace(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string content_of(const std::filesystem::path& path);

/// A folder of this test process, removed at its end.
const std::filesystem::path& test_folder();

/// Writes `bytes` to a file in test_folder() and returns its path.
std::string file_with(const std::string& name, const std::string& bytes);

/// Tiny models as files.
std::string llama_file();
std::string gemma3_file();

}  // namespace headrace::testing
