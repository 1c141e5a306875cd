#include "hub/part_file.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "hub/testing/wheels.h"

namespace headrace {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(PartFile, AppendsAfterWhatIsThereAndAfterACut) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "f";
  testing::write_file(path, "one");
  PartFile file = PartFile::open_to_append(path).value();
  ASSERT_TRUE(file.append(bytes_of("two")));
  ASSERT_TRUE(file.truncate(4));
  ASSERT_TRUE(file.append(bytes_of("X")));
  ASSERT_TRUE(file.sync());
  EXPECT_EQ(file.size().value(), 5u);
  EXPECT_EQ(testing::read_file(path), "onetX");
}

TEST(PartFile, RefusesAFolder) {
  const testing::TemporaryFolder folder;
  EXPECT_FALSE(PartFile::open_to_read(folder.path()));
  EXPECT_EQ(size_of_file(folder.path()), std::nullopt);
}

TEST(RequireDiskSpace, NamesNeedAndRoomWhenThereIsTooLittle) {
  const testing::TemporaryFolder folder;
  EXPECT_TRUE(require_disk_space(folder.path(), 1));
  const Status status = require_disk_space(folder.path(), uint64_t{1} << 60);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::io);
  EXPECT_NE(status.error().message.find("are free"), std::string::npos);
  EXPECT_FALSE(require_disk_space(folder.path(), UINT64_MAX));
}

TEST(FolderLock, SecondOwnerWaitsAndIsToldSoOnce) {
  const testing::TemporaryFolder folder;
  std::atomic<int> told = 0;
  std::atomic<bool> second_has_it = false;
  std::thread second;
  {
    const FolderLock first = FolderLock::acquire(folder.path(), {}).value();
    second = std::thread([&] {
      const Watch watch{.progress = [&](uint64_t, uint64_t) { ++told; }, .cancel = nullptr};
      const Result<FolderLock> lock = FolderLock::acquire(folder.path(), watch);
      second_has_it = static_cast<bool>(lock);
    });
    while (told == 0) std::this_thread::yield();
    EXPECT_FALSE(second_has_it);
  }
  second.join();
  EXPECT_TRUE(second_has_it);
  EXPECT_EQ(told, 1);
}

TEST(FolderLock, WaitingEndsOnCancellation) {
  const testing::TemporaryFolder folder;
  const FolderLock first = FolderLock::acquire(folder.path(), {}).value();
  const std::atomic<bool> cancel = true;
  const Result<FolderLock> second = FolderLock::acquire(folder.path(), {.progress = {}, .cancel = &cancel});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::cancelled);
}

}  // namespace
}  // namespace headrace
