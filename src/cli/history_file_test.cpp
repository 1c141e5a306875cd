#include "cli/history_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <fstream>

namespace headrace::cli {
namespace {

class HistoryFile : public ::testing::Test {
 protected:
  HistoryFile() {
    std::string name = (std::filesystem::temp_directory_path() / "headrace-history-XXXXXX").string();
    state_ = ::mkdtemp(name.data());
    ::setenv("XDG_STATE_HOME", state_.c_str(), 1);
  }
  ~HistoryFile() override {
    ::unsetenv("XDG_STATE_HOME");
    std::filesystem::remove_all(state_);
  }
  void write(const std::string& text) {
    std::filesystem::create_directories(history_file()->parent_path());
    std::ofstream(*history_file(), std::ios::binary) << text;
  }

  std::filesystem::path state_;
};

TEST_F(HistoryFile, EntriesComeBackAsTheyWere) {
  const std::vector<std::string> entries = {"plain", "two\nlines", "back\\slash\\n", "\\",
                                            "gr\xC3\xBC\xC3\x9F"};
  for (const std::string& entry : entries) append_history(entry);
  EXPECT_EQ(load_history(), entries);
}

TEST_F(HistoryFile, BelongsToItsOwnerAlone) {
  write("old\n");
  ASSERT_EQ(::chmod(history_file()->c_str(), 0644), 0);
  append_history("new");
  struct stat info {};
  ASSERT_EQ(::stat(history_file()->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(load_history(), std::vector<std::string>({"old", "new"}));
}

TEST_F(HistoryFile, KeepsTheLastEntriesAndIsShortened) {
  std::string text;
  for (size_t i = 0; i < 3 * kMaxHistoryEntries; ++i) text += std::to_string(i) + "\n";
  write(text);
  const std::vector<std::string> entries = load_history();
  ASSERT_EQ(entries.size(), kMaxHistoryEntries);
  EXPECT_EQ(entries.back(), std::to_string(3 * kMaxHistoryEntries - 1));
  EXPECT_LT(std::filesystem::file_size(*history_file()), text.size() / 2);
  EXPECT_EQ(load_history(), entries);
}

TEST_F(HistoryFile, GarbageAndMissingFilesAreNoTrouble) {
  EXPECT_TRUE(load_history().empty());
  write(std::string("\0\xFF\n\n\nlast \\", 12));
  EXPECT_EQ(load_history().size(), 2U);
  std::filesystem::remove(*history_file());
  std::filesystem::create_directories(*history_file());
  EXPECT_TRUE(load_history().empty());
  append_history("nowhere");
}

TEST_F(HistoryFile, ARelativeStateFolderIsIgnored) {
  ::setenv("XDG_STATE_HOME", "relative", 1);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(history_file(), "/home/me/.local/state/headrace/history");
  ::unsetenv("HOME");
  EXPECT_FALSE(history_file());
  EXPECT_TRUE(load_history().empty());
}

}  // namespace
}  // namespace headrace::cli
