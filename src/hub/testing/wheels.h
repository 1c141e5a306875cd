// Material for tests: folders, bytes, archives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hub/http.h"

namespace headrace::testing {

/// A fresh folder that is removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// `size` bytes that do not compress.
std::string noise(size_t size, uint32_t seed = 1);

/// A ZIP archive (deflated) with these members, in order.
std::string make_zip(const std::vector<std::pair<std::string, std::string>>& members);

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& content);
std::string sha256_of(const std::string& content);
/// The names in a folder, sorted.
std::vector<std::string> names_in(const std::filesystem::path& folder);

/// Quick enough for tests: 3 attempts, pauses of milliseconds, half a second of silence.
HttpPolicy quick_policy();

}  // namespace headrace::testing
