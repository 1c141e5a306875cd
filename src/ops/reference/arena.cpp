#include "ops/reference/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "core/checked.h"
#include "core/result.h"

namespace headrace::reference {
namespace {

constexpr size_t kAlignment = 64;

size_t page_size() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

uintptr_t address_of(const void* data) {
  return reinterpret_cast<uintptr_t>(data);
}

}  // namespace

Arena::Arena(size_t bytes) {
  bytes -= bytes % page_size();
  if (bytes == 0) return;
  void* base = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return;
  base_ = static_cast<std::byte*>(base);
  size_ = bytes;
}

Arena::~Arena() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

std::byte* Arena::allocate(size_t bytes) {
  if (bytes == 0 || bytes > size_) return nullptr;
  size_t offset = 0;
  for (const auto& [begin, size] : pieces_) {
    if (begin >= offset + bytes) break;
    offset = round_up(begin + size, kAlignment);
  }
  if (offset + bytes > size_) return nullptr;
  pieces_.emplace(offset, bytes);
  if (offset < used_) {  // above, pages are zero because nobody had them
    const size_t count = std::min(bytes, used_ - offset);
    const ArenaOpening opening(*this, base_ + offset, count);
    std::memset(base_ + offset, 0, count);
  }
  used_ = std::max<size_t>(used_, round_up(offset + bytes, page_size()));
  return base_ + offset;
}

void Arena::free(std::byte* data) {
  const size_t erased = pieces_.erase(address_of(data) - address_of(base_));
  HEADRACE_CHECK(erased == 1);
}

bool Arena::lends(const void* data, size_t bytes) const {
  if (!overlaps(data, 1)) return false;
  const size_t offset = address_of(data) - address_of(base_);
  const auto after = pieces_.upper_bound(offset);
  if (after == pieces_.begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return offset - begin <= size && bytes <= size - (offset - begin);
}

bool Arena::overlaps(const void* data, size_t bytes) const {
  const uintptr_t begin = address_of(data);
  const uintptr_t base = address_of(base_);
  return begin < base + size_ && (begin >= base || bytes > base - begin);
}

void Arena::protect(size_t begin, size_t end, bool shut) {
  HEADRACE_CHECK(open_ == shut);
  const int rights = shut ? PROT_NONE : PROT_READ | PROT_WRITE;
  HEADRACE_CHECK(::mprotect(base_ + begin, end - begin, rights) == 0);
  open_ = !shut;
}

ArenaOpening::ArenaOpening(Arena& arena) : arena_(arena), end_(arena.used_) {
  arena_.protect(begin_, end_, false);
}

ArenaOpening::ArenaOpening(Arena& arena, const void* data, size_t bytes) : arena_(arena) {
  if (bytes > 0) {  // nothing may come without an address
    const size_t offset = address_of(data) - address_of(arena.base_);
    begin_ = offset - offset % page_size();
    end_ = round_up(offset + bytes, page_size());
  }
  arena_.protect(begin_, end_, false);
}

ArenaOpening::~ArenaOpening() {
  arena_.protect(begin_, end_, true);
}

}  // namespace headrace::reference
