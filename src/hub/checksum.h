// SHA-256, in pieces as the bytes come by.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "hub/watch.h"

namespace headrace {

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hexadecimal digits. Ends the computation: nothing may be added after.
  std::string hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

/// True for 64 lower-case hexadecimal digits.
bool is_sha256(std::string_view text);

/// The checksum of a whole file, read once and never held in memory. Fails with not_found, io or cancelled.
Result<std::string> sha256_of_file(const std::filesystem::path& path, const Watch& watch);

}  // namespace headrace
