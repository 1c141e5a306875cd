// Files: a read-only memory map, whole-file reads with a limit, and names that are safe to print.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace headrace {

/// A regular file mapped read-only. Movable; unmapped on destruction. The bytes stay valid as long as it
/// lives. If another process truncates the file meanwhile, reading it raises SIGBUS, as with every memory
/// map.
class MappedFile {
 public:
  /// Fails with not_found or io: no such file, not a regular file ("is a directory"), empty, not readable.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Tells the system that [offset, offset + size) will not be read again soon: its pages may leave memory.
  void drop(size_t offset, size_t size) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole content of a file, "-" meaning standard input; refused (out_of_budget) beyond `max_bytes`.
Result<std::string> read_text(const std::filesystem::path& path, uint64_t max_bytes);

/// `text` with control characters and bytes that are not UTF-8 escaped as \xNN, cut after `max_bytes`: names
/// from hostile files go through it before they reach a message or a terminal.
std::string printable(std::string_view text, size_t max_bytes = 120);

/// "1.50 GiB", "12.0 MiB", "17 B".
std::string human_bytes(uint64_t bytes);

}  // namespace headrace
