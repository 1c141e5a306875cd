// FNV-1a, 64 bits: tells accidental changes, and gives names and seeds that never change. Not for what an
// adversary may choose.
#pragma once

#include <cstdint>
#include <string_view>

namespace headrace::cli {

inline constexpr uint64_t kFnvBegin = 0xcbf29ce484222325U;

constexpr uint64_t fnv1a(std::string_view bytes, uint64_t so_far = kFnvBegin) {
  for (const char byte : bytes) {
    so_far ^= static_cast<unsigned char>(byte);
    so_far *= 0x100000001b3U;
  }
  return so_far;
}

}  // namespace headrace::cli
