// A folder with an input of three lines, for tests of what a batch writes.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "cli/batch_journal.h"

namespace headrace::cli {

namespace fs = std::filesystem;

class BatchFolder : public ::testing::Test {
 protected:
  BatchFolder() {
    std::string name = (fs::temp_directory_path() / "headrace-journal-XXXXXX").string();
    HEADRACE_CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    write("in", "one\n\ntwo\nthree\n");
  }
  ~BatchFolder() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  fs::path path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary | std::ios::trunc) << text;
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  BatchInput input() const { return std::move(BatchInput::open(path("in"))).value(); }
  Result<BatchJournal> open(const BatchInput& in) const { return BatchJournal::open(path("part"), in); }

  fs::path folder_;
};

inline nlohmann::ordered_json batch_settings(int context = 64) {
  return {{"model", "m"}, {"ctx_size", context}};
}

// Files of this process can't grow beyond the limit while it lives, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(uint64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace headrace::cli
