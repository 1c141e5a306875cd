#include "core/system_memory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace headrace {
namespace {

class SystemMemory : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) /
            ("headrace-memory-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(root_);
    write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 4000 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  std::filesystem::path root_;
};

TEST_F(SystemMemory, WithoutGroupsItIsWhatTheSystemHas) {
  EXPECT_EQ(available_memory_bytes(root_), 4000U * 1024);
}

TEST_F(SystemMemory, TheTightestGroupOnTheWayToTheRootCounts) {
  write("proc/self/cgroup", "0::/slice/job\n");
  write("sys/fs/cgroup/slice/memory.max", "1000000\n");
  write("sys/fs/cgroup/slice/memory.current", "400000\n");
  write("sys/fs/cgroup/slice/job/memory.max", "max\n");
  write("sys/fs/cgroup/slice/job/memory.current", "300000\n");
  EXPECT_EQ(available_memory_bytes(root_), 600000U);
  write("sys/fs/cgroup/slice/job/memory.max", "500000\n");
  EXPECT_EQ(available_memory_bytes(root_), 200000U);
}

TEST_F(SystemMemory, OwnMemoryIsWhatTheProcessAskedFor) {
  EXPECT_EQ(own_memory_bytes(root_), 0U);  // nobody tells
  write("proc/self/status", "Name:\theadrace\nVmPeak:\t  900 kB\nVmData:\t  123 kB\nVmStk:\t 132 kB\n");
  EXPECT_EQ(own_memory_bytes(root_), 123U * 1024);
  EXPECT_GT(own_memory_bytes(), 0U);
}

TEST_F(SystemMemory, FilePagesThatCanGoCountAsFree) {
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/job/memory.max", "1000000\n");
  write("sys/fs/cgroup/job/memory.current", "900000\n");
  write("sys/fs/cgroup/job/memory.stat", "anon 100000\ninactive_file 700000\nactive_file 100000\n");
  EXPECT_EQ(available_memory_bytes(root_), 800000U);
}

TEST_F(SystemMemory, VersionOneGroupsAreFoundByTheirController) {
  write("proc/self/cgroup", "7:cpu,cpuacct:/other\n5:memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "500000\n");
  EXPECT_EQ(available_memory_bytes(root_), 1500000U);
}

TEST_F(SystemMemory, AGroupThatIsFullLeavesNothing) {
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/job/memory.max", "1000\n");
  write("sys/fs/cgroup/job/memory.current", "5000\n");
  EXPECT_EQ(available_memory_bytes(root_), 0U);
}

}  // namespace
}  // namespace headrace
