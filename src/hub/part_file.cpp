#include "hub/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "core/checked.h"
#include "core/file.h"

namespace headrace {
namespace {

constexpr auto kLockPoll = std::chrono::milliseconds(50);
// Left free for everybody else on the disk.
constexpr uint64_t kDiskReserveBytes = uint64_t{64} << 20;

Error system_error(const std::filesystem::path& path, const char* doing) {
  const int number = errno;
  const Errc code = number == ENOENT ? Errc::not_found : Errc::io;
  return make_error(code, "{}: {}: {}", path.string(), doing, std::generic_category().message(number));
}

Status sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(folder, "open");
  Status status;
  if (::fsync(fd) != 0 && errno != EINVAL)
    status = system_error(folder, "sync");  // EINVAL: it cannot be synced
  ::close(fd);
  return status;
}

}  // namespace

Result<PartFile> PartFile::open(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return system_error(path, "open");
  PartFile file(path, fd);
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_error(path, "stat");
  if (!S_ISREG(info.st_mode)) return make_error(Errc::io, "{}: is not a regular file", path.string());
  return file;
}

Result<PartFile> PartFile::open_to_read(const std::filesystem::path& path) {
  return open(path, O_RDONLY);
}

Result<PartFile> PartFile::open_to_append(const std::filesystem::path& path) {
  return open(path, O_WRONLY | O_CREAT | O_APPEND);
}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

PartFile::~PartFile() {
  if (fd_ >= 0) ::close(fd_);
}

Error PartFile::error(const char* doing) const {
  return system_error(path_, doing);
}

Result<uint64_t> PartFile::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return error("stat");
  return static_cast<uint64_t>(info.st_size);
}

Result<size_t> PartFile::read(std::span<std::byte> buffer) {
  while (true) {
    const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return error("read");
  }
}

Status PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return error("write");
    }
  }
  return {};
}

Status PartFile::truncate(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return error("truncate");
  return {};
}

Status PartFile::sync() {
  if (::fsync(fd_) != 0) return error("sync");
  return {};
}

Status rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error(from, "rename");
  return sync_folder(to.parent_path());
}

Status remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(path, "remove");
  return {};
}

std::optional<uint64_t> size_of_file(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

Status require_disk_space(const std::filesystem::path& folder, uint64_t bytes) {
  std::error_code code;
  const std::filesystem::space_info space = std::filesystem::space(folder, code);
  if (code) return make_error(Errc::io, "{}: {}", folder.string(), code.message());
  const std::optional<uint64_t> needed = checked_add(bytes, kDiskReserveBytes);
  if (!needed || *needed > space.available) {
    return make_error(
        Errc::io, "{}: needs {} on the disk, {} are free ($HEADRACE_CACHE names another folder)",
        folder.string(), human_bytes(needed.value_or(UINT64_MAX)), human_bytes(space.available));
  }
  return {};
}

Result<FolderLock> FolderLock::acquire(const std::filesystem::path& folder, const Watch& watch) {
  const std::filesystem::path path = folder / ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(path, "open");
  FolderLock lock(fd);
  bool told = false;
  // Polled, since a blocking flock() would not see the caller's cancellation.
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return system_error(path, "lock");
    if (watch.cancelled()) {
      return make_error(Errc::cancelled, "cancelled while another process was downloading to {}",
                        folder.string());
    }
    if (!std::exchange(told, true)) watch.report(0, 0);
    std::this_thread::sleep_for(kLockPoll);
  }
  return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace headrace
