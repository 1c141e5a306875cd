#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace headrace {
namespace {

// A folder of its own for each test.
class File : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("headrace-{}-{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  std::filesystem::path folder_;
};

std::string text_of(const MappedFile& file) {
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

TEST_F(File, AMapShowsTheFilesBytes) {
  const std::string content = std::string("a\0b\n", 4) + std::string(10000, 'x');
  const auto path = write("data", content);
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(text_of(*file), content);
  EXPECT_EQ(file->path(), path);
}

TEST_F(File, AMapSurvivesBeingMovedAndTheFilesRemoval) {
  const auto path = write("data", "content");
  MappedFile first = MappedFile::open(path).value();
  MappedFile second = std::move(first);
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(second), "content");
  MappedFile third = MappedFile::open(write("other", "other")).value();
  third = std::move(second);
  EXPECT_EQ(text_of(third), "content");
}

TEST_F(File, DroppedPagesReadTheSameAgain) {
  std::string content(100000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i / 100);
  const MappedFile file = MappedFile::open(write("data", content)).value();
  file.drop(0, content.size());
  file.drop(5000, 50000);
  file.drop(99999, 1);
  file.drop(0, 0);
  EXPECT_EQ(text_of(file), content);
}

TEST_F(File, WhatCannotBeMappedIsAnErrorWithThePathAndTheReason) {
  const auto absent = MappedFile::open(folder_ / "absent");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::not_found);
  EXPECT_EQ(absent.error().message, (folder_ / "absent").string() + ": No such file or directory");

  const auto below_file = MappedFile::open(write("file", "x") / "below");
  ASSERT_FALSE(below_file);
  EXPECT_EQ(below_file.error().code, Errc::not_found);

  const auto directory = MappedFile::open(folder_);
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, folder_.string() + ": is a directory, expected a file");

  const auto empty = MappedFile::open(write("empty", ""));
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, Errc::bad_model);
  EXPECT_NE(empty.error().message.find("empty"), std::string::npos);
}

TEST_F(File, APipeInPlaceOfAFileIsRefusedWithoutWaitingForAWriter) {
  const auto path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto file = MappedFile::open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::io);
  EXPECT_NE(file.error().message.find("is not a regular file"), std::string::npos);
}

TEST_F(File, AHostileFileNameIsEscapedInMessages) {
  const auto file = MappedFile::open(folder_ / "a\x1b[2Jb");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("a\\x1b[2Jb"), std::string::npos) << file.error().message;
}

TEST_F(File, ReadsTextUpToTheLimitAndNotBeyond) {
  const auto path = write("text", std::string(100000, 'y'));
  EXPECT_EQ(*read_text(path, 100000), std::string(100000, 'y'));
  const auto beyond = read_text(path, 99999);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, Errc::out_of_budget);
  EXPECT_NE(beyond.error().message.find("99999"), std::string::npos);
  EXPECT_EQ(*read_text(write("empty", ""), 0), "");
}

TEST_F(File, AnEndlessFileIsRefusedAtTheLimit) {
  const auto endless = read_text("/dev/zero", 1 << 20);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, Errc::out_of_budget);
}

TEST_F(File, TextThatCannotBeReadIsAnErrorWithThePath) {
  const auto absent = read_text(folder_ / "absent", 10);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::not_found);
  const auto directory = read_text(folder_, 10);
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("is a directory"), std::string::npos);
}

TEST(Printable, EscapesControlCharactersAndBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("plain gr\xc3\xbc\xc3\x9f"), "plain gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(printable(std::string_view("\0\n\x1b\x7f", 4)), "\\x00\\x0a\\x1b\\x7f");
  EXPECT_EQ(printable("\xff\xe2\x82"), "\\xff\\xe2\\x82");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // U+009B, which some terminals take for ESC [
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 4), "\xe2\x82\xac\xe2\x82\xac...");
  EXPECT_LT(printable(std::string(1 << 20, 'x')).size(), 200u);
}

TEST(HumanBytes, ChoosesTheUnitThatFits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(17), "17 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(12ull << 20), "12.0 MiB");
  EXPECT_EQ(human_bytes(3ull << 29), "1.50 GiB");
  EXPECT_EQ(human_bytes(~0ull), "16.0 EiB");
}

}  // namespace
}  // namespace headrace
