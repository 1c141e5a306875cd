// A file that grows piece by piece, and the little that it takes to put it in its place safely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "core/result.h"
#include "hub/watch.h"

namespace headrace {

/// An open file. Errors are io (or not_found for a missing file) and name the path. Movable; closed on
/// destruction.
class PartFile {
 public:
  static Result<PartFile> open_to_read(const std::filesystem::path& path);
  /// Creates the file if it is missing and stands at its end.
  static Result<PartFile> open_to_append(const std::filesystem::path& path);

  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile();

  Result<uint64_t> size() const;
  /// Bytes read into `buffer`; 0 at the end.
  Result<size_t> read(std::span<std::byte> buffer);
  Status append(std::span<const std::byte> bytes);
  /// Cuts the file down to `size` bytes; the next append() goes there.
  Status truncate(uint64_t size);
  /// Returns when the bytes are on the disk.
  Status sync();

 private:
  PartFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  static Result<PartFile> open(const std::filesystem::path& path, int flags);
  Error error(const char* doing) const;
  std::filesystem::path path_;
  int fd_;
};

/// Gives `from` the name `to` (same folder), replacing what was there; durable when it returns.
Status rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

/// Removes a file if it is there.
Status remove_file(const std::filesystem::path& path);

/// Size of a regular file, or nothing if there is none.
std::optional<uint64_t> size_of_file(const std::filesystem::path& path);

/// Refuses with io, naming both figures, if the disk that holds `folder` has less than `bytes` left, and a
/// reserve.
Status require_disk_space(const std::filesystem::path& folder, uint64_t bytes);

/// Held by one owner at a time, in this process or another. Released on destruction; the lock file stays.
class FolderLock {
 public:
  /// Waits until the lock is free, calling watch.progress(0, 0) once as the wait begins. Fails with io or
  /// cancelled.
  static Result<FolderLock> acquire(const std::filesystem::path& folder, const Watch& watch);

  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace headrace
