// The pages of one layer group: equal pieces of one device buffer, handed out and taken back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "ops/backend.h"

namespace headrace {

using PageId = uint32_t;
inline constexpr PageId kNoPage = std::numeric_limits<PageId>::max();

/// Not thread-safe. What lies in a page is nobody's business here.
class PagePool {
 public:
  /// Books n_pages * page_bytes with the ledger, then allocates them.
  static Result<PagePool> create(Backend& backend, MemoryLedger& ledger, size_t page_bytes, uint32_t n_pages,
                                 std::string_view what, std::string_view hint);

  /// Takes a page with one reference; kNoPage if none is free.
  PageId allocate();
  /// Another owner of a page that is in use.
  void retain(PageId page);
  /// One owner less; the last one frees the page and raises its generation.
  void release(PageId page);

  /// Pages in use are kept to `limit`; more than that stay until they are released.
  void set_limit(uint32_t limit) { limit_ = limit; }

  uint32_t size() const { return static_cast<uint32_t>(references_.size()); }
  uint32_t used() const { return size() - static_cast<uint32_t>(free_.size()); }
  uint32_t limit() const { return std::min(limit_, size()); }
  uint32_t free_pages() const { return room_beside(used()); }
  /// Pages that may be in use beside so many.
  uint32_t room_beside(uint32_t pages) const { return limit() > pages ? limit() - pages : 0; }
  /// Pages with exactly one owner.
  uint32_t unshared() const { return unshared_; }
  uint32_t references(PageId page) const { return references_[page]; }
  /// Counts how often a page was freed: a stale reference to it can be told from a fresh one.
  uint32_t generation(PageId page) const { return generations_[page]; }
  std::byte* data() const { return buffer_.data(); }

 private:
  DeviceBuffer buffer_;
  std::vector<PageId> free_;  // the next page to hand out is at the back
  std::vector<uint32_t> references_;
  std::vector<uint32_t> generations_;
  uint32_t unshared_ = 0;
  uint32_t limit_ = std::numeric_limits<uint32_t>::max();
};

}  // namespace headrace
