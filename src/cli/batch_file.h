// An open file whose errors are values that name it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace headrace::cli {

/// A regular file. Movable; closed on destruction. Errors are io or not_found.
class BatchFile {
 public:
  static Result<BatchFile> open_to_read(const std::filesystem::path& path);
  /// To read and to append; made if it is missing.
  static Result<BatchFile> open_to_append(const std::filesystem::path& path);
  /// To append, empty at first whatever was there.
  static Result<BatchFile> create(const std::filesystem::path& path);

  BatchFile(BatchFile&& other) noexcept;
  BatchFile& operator=(BatchFile&& other) noexcept;
  BatchFile(const BatchFile&) = delete;
  BatchFile& operator=(const BatchFile&) = delete;
  ~BatchFile();

  const std::filesystem::path& path() const { return path_; }
  /// As messages name it.
  const std::string& name() const { return name_; }

  Result<uint64_t> size() const;
  /// Bytes read from `offset` on; fewer than asked for only at the end.
  Result<size_t> read_at(uint64_t offset, std::span<char> buffer) const;
  /// All of `text`, or an error: then some of it may be there.
  Status append(std::string_view text);
  Status truncate(uint64_t size);
  /// Returns when the bytes are on the disk.
  Status sync();
  /// Takes the file for this process alone, until it is closed. Fails with usage if another has it. A file
  /// system that has no locks gets a warning.
  Status lock();
  /// Whether path() still leads to this file: it could have been replaced before the lock was taken.
  bool is_current() const;

 private:
  BatchFile(std::filesystem::path path, int fd);
  static Result<BatchFile> open(const std::filesystem::path& path, int flags);
  Error error(const char* doing) const;

  std::filesystem::path path_;
  std::string name_;
  int fd_ = -1;
};

/// "out.jsonl" -> the name for messages, safe to print.
std::string file_name_for_messages(const std::filesystem::path& path);

}  // namespace headrace::cli
