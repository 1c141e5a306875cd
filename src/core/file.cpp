#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/utf8.h"

namespace headrace {
namespace {

std::string system_message(int number) {
  return std::generic_category().message(number);
}

Error open_error(const std::filesystem::path& path) {
  const int number = errno;
  const Errc code = number == ENOENT || number == ENOTDIR ? Errc::not_found : Errc::io;
  return make_error(code, "{}: {}", printable(path.string(), 4096), system_message(number));
}

// Closes a file descriptor on every path out of a function.
struct Descriptor {
  int fd;
  explicit Descriptor(int value) : fd(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd > STDIN_FILENO) ::close(fd);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string name = printable(path.string(), 4096);
  // O_NONBLOCK: a FIFO in place of a model must not hang the program.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return open_error(path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return open_error(path);
  if (S_ISDIR(info.st_mode)) return make_error(Errc::io, "{}: is a directory, expected a file", name);
  if (!S_ISREG(info.st_mode)) return make_error(Errc::io, "{}: is not a regular file", name);
  if (info.st_size == 0) return make_error(Errc::bad_model, "{}: the file is empty", name);
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) return open_error(path);
  return MappedFile(path, static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::drop(size_t offset, size_t size) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = std::min(offset + size, size_) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<std::string> read_text(const std::filesystem::path& path, uint64_t max_bytes) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : printable(path.string(), 4096);
  const Descriptor file(standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return open_error(path);
  struct stat info {};
  if (::fstat(file.fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return make_error(Errc::io, "{}: is a directory, expected a file", name);
  }
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t count = ::read(file.fd, block, sizeof block);
    if (count < 0 && errno == EINTR) return make_error(Errc::cancelled, "{}: interrupted", name);
    if (count < 0) return open_error(path);
    if (count == 0) return text;
    if (text.size() + static_cast<size_t>(count) > max_bytes) {
      return make_error(Errc::out_of_budget, "{}: longer than the limit of {} bytes", name, max_bytes);
    }
    text.append(block, static_cast<size_t>(count));
  }
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    if (out.size() >= max_bytes) return out + "...";
    const Utf8Char next = decode_utf8(text, at);
    const bool control = next.code_point < 0x20 || (next.code_point >= 0x7f && next.code_point < 0xa0);
    if (!next.valid || control) {
      for (size_t i = 0; i < next.size; ++i)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at + i]));
    } else {
      out += text.substr(at, next.size);
    }
    at += next.size;
  }
  return out;
}

std::string human_bytes(uint64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : 1, units[unit]);
}

}  // namespace headrace
