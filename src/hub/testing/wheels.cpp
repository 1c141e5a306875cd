#include "hub/testing/wheels.h"

#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <span>

#include "hub/checksum.h"

namespace headrace::testing {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "headrace-test-XXXXXX").string();
  HEADRACE_CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string noise(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
  return bytes;
}

std::string make_zip(const std::vector<std::pair<std::string, std::string>>& members) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "made.zip";
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, &code);
  HEADRACE_CHECK(archive != nullptr);
  for (const auto& [name, content] : members) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, 0);
    HEADRACE_CHECK(index >= 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_DEFLATE, 1);
  }
  HEADRACE_CHECK(zip_close(archive) == 0);
  return read_file(path);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string sha256_of(const std::string& content) {
  Sha256 sha;
  sha.update(std::as_bytes(std::span(content)));
  return sha.hex();
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    names.push_back(file.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

HttpPolicy quick_policy() {
  return {.ca_bundle = {},
          .connect_timeout = std::chrono::milliseconds(2000),
          .stall_timeout = std::chrono::milliseconds(500),
          .attempts = 3,
          .first_backoff = std::chrono::milliseconds(1)};
}

}  // namespace headrace::testing
