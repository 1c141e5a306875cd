#include "cli/batch_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "cli/output.h"
#include "core/file.h"

namespace headrace::cli {
namespace {

constexpr mode_t kMode = 0644;

Error system_error(const std::string& name, const char* doing) {
  const int number = errno;
  const Errc code = number == ENOENT || number == ENOTDIR ? Errc::not_found : Errc::io;
  return make_error(code, "{}: {}: {}", name, doing, std::generic_category().message(number));
}

}  // namespace

std::string file_name_for_messages(const std::filesystem::path& path) {
  return printable(path.string(), 4096);
}

BatchFile::BatchFile(std::filesystem::path path, int fd)
    : path_(std::move(path)), name_(file_name_for_messages(path_)), fd_(fd) {}

Result<BatchFile> BatchFile::open(const std::filesystem::path& path, int flags) {
  // O_NONBLOCK: a FIFO in place of a file must not hang the program.
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, kMode);
  if (fd < 0) return system_error(file_name_for_messages(path), "open");
  BatchFile file(path, fd);
  struct stat info {};
  if (::fstat(fd, &info) != 0) return file.error("stat");
  if (!S_ISREG(info.st_mode)) return make_error(Errc::io, "{}: is not a regular file", file.name_);
  return file;
}

Result<BatchFile> BatchFile::open_to_read(const std::filesystem::path& path) {
  return open(path, O_RDONLY);
}

Result<BatchFile> BatchFile::open_to_append(const std::filesystem::path& path) {
  return open(path, O_RDWR | O_CREAT | O_APPEND);
}

Result<BatchFile> BatchFile::create(const std::filesystem::path& path) {
  return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
}

BatchFile::BatchFile(BatchFile&& other) noexcept
    : path_(std::move(other.path_)), name_(std::move(other.name_)), fd_(std::exchange(other.fd_, -1)) {}

BatchFile& BatchFile::operator=(BatchFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  return *this;
}

BatchFile::~BatchFile() {
  if (fd_ >= 0) ::close(fd_);
}

Error BatchFile::error(const char* doing) const {
  return system_error(name_, doing);
}

Result<uint64_t> BatchFile::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return error("stat");
  return static_cast<uint64_t>(info.st_size);
}

Result<size_t> BatchFile::read_at(uint64_t offset, std::span<char> buffer) const {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got =
        ::pread(fd_, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return error("read");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Status BatchFile::append(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return error("write");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Status BatchFile::truncate(uint64_t size) {
  while (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return error("truncate");
  }
  return {};
}

Status BatchFile::sync() {
  while (::fsync(fd_) != 0) {
    if (errno != EINTR) return error("sync");
  }
  return {};
}

Status BatchFile::lock() {
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      return make_error(Errc::usage, "{}: another run is writing it; wait for it, or stop it", name_);
    }
    if (errno != ENOSYS && errno != EOPNOTSUPP && errno != ENOLCK) return error("lock");
    warn(name_ + ": this file system has no locks; don't start a second run beside this one");
    break;
  }
  return {};
}

bool BatchFile::is_current() const {
  struct stat mine {};
  struct stat named {};
  return ::fstat(fd_, &mine) == 0 && ::stat(path_.c_str(), &named) == 0 && mine.st_dev == named.st_dev &&
         mine.st_ino == named.st_ino;
}

}  // namespace headrace::cli
